"""Pictures of a run's page or of a gallery, as the README shows them, by a real browser without a window.

    pip install -e ".[browser]" && apt-get install chromium
    python -m wn_rl.watch run=runs/Breakout/<run>
    python -m scripts.publishing.screenshot_page runs/Breakout/<run> docs/images/breakout.png --height 1400

The page is made before by ``python -m wn_rl.watch run=...``. ``--scheme dark``, ``--width 390`` (a phone) and
``--element "#stages"`` (that part alone) show it otherwise.
"""

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Open the page, let posters load and curves be drawn, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a run folder or a folder of runs, with its index.html")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in CSS pixels")
    parser.add_argument("--height", type=int, help="of the picture; without it the whole page")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--element", help="a CSS selector: only that part")
    arguments = parser.parse_args()
    page_file = arguments.folder / "index.html"
    if not page_file.is_file():
        parser.error(f"{page_file} is missing; write it: python -m wn_rl.watch run={arguments.folder}")
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    take_screenshot(
        page_file, arguments.picture, width=arguments.width, height=arguments.height, scheme=arguments.scheme,
        element=arguments.element,
    )  # fmt: skip


def take_screenshot(
    page_file: Path, picture: Path, *, width: int, height: int | None, scheme: str, element: str | None
) -> None:
    """Write one picture; ``height`` None takes the whole page."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        # the sandbox of Chromium refuses to work for root, as in containers
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height or 900}, color_scheme=scheme, device_scale_factor=1.5
        )
        page.goto(page_file.resolve().as_uri())
        page.wait_for_load_state("networkidle")
        shown = page if element is None else page.locator(element)
        shown.screenshot(path=picture, **({} if element else {"full_page": height is None}))
        browser.close()


if __name__ == "__main__":
    main()
