"""Do pages work in a real browser: no error, videos play, curves are drawn, runs are sorted, on every screen?"""

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.run_folders import add_video, make_evaluation, make_run_folder
from wn_rl.runs.layout import EVALUATIONS_FILE
from wn_rl.viewing.pages.gallery import write_gallery
from wn_rl.viewing.pages.server import make_page_server

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium, or set CHROMIUM")

NUM_VIDEOS = 5
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs and their gallery; the first with videos."""
    folder = tmp_path_factory.mktemp("pages") / "runs"
    first = make_run_folder(folder / "Pong" / "a", shift=0.0, seed=0)
    for name in ("000250000--12.mp4", "000500000--4.mp4", "001000000-12.mp4", "001000000-best-15.mp4",
                 "001000000-worst-8.mp4"):  # fmt: skip
        add_video(first, name)
    make_run_folder(folder / "Pong" / "b", shift=5.0, seed=1)
    make_run_folder(folder / "Pong" / "c-with-a-long-name-that-has-no-space-at-all", shift=-3.0, learning_rate=0.001)
    write_gallery(folder, with_pages=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox refuses to work for root, as in containers
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(
    browser: Any, address: str, size: str = "desktop", scheme: str = "light", script: str = ""
) -> tuple[Any, list[str]]:
    """A page, in which a script may run before its own, and the list in which its errors are kept."""
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.add_init_script(script)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"{request.url}: {request.failure}"))
    page.goto(address)
    page.wait_for_selector(".chart .plot svg")
    return page, problems


def get_points(page: Any, chart: str, series: str) -> list[tuple[float, float]]:
    """The corners of a drawn curve, in pixels."""
    path = page.locator(f'[data-chart="{chart}"] [data-series="{series}"] .curve').get_attribute("d")
    pairs = [pair.split() for pair in path.replace("M", "").split("L")]
    return [(float(x), float(y)) for x, y in pairs]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["Pong/a/index.html", "index.html"])
def test_a_page_shows_without_an_error_and_fits_its_width(
    runs: Path, browser: Any, size: str, scheme: str, name: str
) -> None:
    page, problems = open_page(browser, (runs / name).as_uri(), size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 600) == (scheme == "light")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert problems == []
    page.close()


def test_curves_lie_where_the_numbers_are(runs: Path, browser: Any) -> None:
    page, _ = open_page(browser, (runs / "Pong/a/index.html").as_uri())
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = get_points(page, "learning", "evaluation mean")
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)  # an evaluation every 250,000 agent steps
    assert y1 - y2 == pytest.approx(y3 - y4, abs=0.2)  # 8 more each time
    assert x4 > x1 + 300
    assert y1 > y4 + 50
    assert len(get_points(page, "train/loss", "Loss")) == 100
    ids = page.locator(".chart").evaluate_all("charts => charts.map((chart) => chart.dataset.chart)")
    assert {"learning", "human", "train/loss", "train/max_q_value", "weights/v_norm_mean"} <= set(ids)
    page.close()


def test_labels_of_lines_that_lie_close_do_not_cover_each_other(tmp_path: Path, browser: Any) -> None:
    run = make_run_folder(tmp_path / "Pong" / "a", shift=0.0, seed=0)
    file = run / EVALUATIONS_FILE
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        row.update({name: 100 * row[name] for name in ("mean", "ci95_low", "ci95_high")})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_gallery(tmp_path, with_pages=True)
    page, _ = open_page(browser, (run / "index.html").as_uri())
    labels = page.locator('[data-chart="learning"] svg text')
    first, second = (labels.filter(has_text=name).first.bounding_box() for name in ("human", "random"))
    assert abs(first["y"] - second["y"]) < first["height"]  # a human's 15 and random play's -21, of some 2,400
    assert first["x"] + first["width"] <= second["x"] or second["x"] + second["width"] <= first["x"]
    page.close()


def test_the_axis_changes_to_frames_and_hours(runs: Path, browser: Any) -> None:
    page, problems = open_page(browser, (runs / "Pong/a/index.html").as_uri())
    label = page.locator('[data-chart="learning"] .plot svg')
    assert "1 M" in label.text_content()
    page.get_by_role("button", name="Frames").click()
    assert "4 M" in label.text_content()
    page.get_by_role("button", name="Hours").click()
    assert "hours of training" in label.text_content()
    # 100 chunks of 10,000 agent steps at 1,000 per second are 0.2778 hours
    page.locator('[data-chart="train/loss"] .plot svg').press("ArrowLeft")
    assert page.locator('[data-chart="train/loss"] .tooltip b').text_content() == "0.2778 hours of training"
    assert problems == []
    page.close()


def test_values_are_read_by_pointer_keys_and_table(runs: Path, browser: Any) -> None:
    page, problems = open_page(browser, (runs / "Pong/a/index.html").as_uri())
    chart = page.locator('[data-chart="learning"]')
    chart.scroll_into_view_if_needed()
    box = chart.locator(".plot svg").bounding_box()
    x, _ = get_points(page, "learning", "evaluation mean")[1]
    page.mouse.move(box["x"] + x, box["y"] + 60)
    tooltip = chart.locator(".tooltip").text_content()
    assert tooltip.startswith("500 k agent steps")
    assert "evaluation mean −4 [−5.5, −2.75]" in tooltip
    page.mouse.move(5, 5)
    assert chart.locator(".tooltip").is_hidden()
    chart.locator(".plot svg").press("ArrowRight")
    assert chart.locator(".tooltip").text_content().startswith("10 k agent steps")
    chart.get_by_text("As a table").click()
    chart.locator("tbody tr").first.wait_for()  # it is filled when it has opened
    assert chart.locator("tbody tr").count() == 4 + 100
    chart.get_by_role("button", name="training").click()
    assert chart.locator(".plot [data-series]").count() == 1
    assert problems == []
    page.close()


def test_every_video_plays(runs: Path, browser: Any) -> None:
    page, problems = open_page(browser, (runs / "Pong/a/index.html").as_uri())
    assert page.locator("video").count() == NUM_VIDEOS + 1  # the last stage's median is in two rows
    page.locator(".play").first.click()
    for button in page.get_by_role("button", name="Play all").all():
        button.click()
    for video in page.locator("video").all():
        video.scroll_into_view_if_needed()
        page.wait_for_function("video => video.readyState === 4 && video.currentTime > 0.1", arg=video.element_handle())
        assert video.evaluate("video => video.videoWidth / video.videoHeight") == pytest.approx(160 / 210)
    assert problems == []
    page.close()


def read_column(page: Any, number: int) -> list[float]:
    cells = page.locator("#rows tr").evaluate_all(
        "(rows, number) => rows.map((row) => row.cells[number].dataset.value)", number
    )
    return [math.nan if cell == "" else float(cell) for cell in cells]


EVALUATION_ROWS = "#evaluations tbody tr"


def wait_for_count(page: Any, selector: str, number: int) -> None:
    """A chart is drawn when its place has got a size."""
    condition = "([selector, number]) => document.querySelectorAll(selector).length === number"
    page.wait_for_function(condition, arg=[selector, number])


def test_a_gallery_sorts_filters_and_compares(runs: Path, browser: Any) -> None:
    page, problems = open_page(browser, (runs / "index.html").as_uri())
    column = page.locator("#runs th").all_text_contents().index("Last evaluation")
    page.get_by_role("button", name="Last evaluation").click()
    assert read_column(page, column) == [17.0, 12.0, 9.0]
    page.get_by_role("button", name="Last evaluation").click()
    assert read_column(page, column) == [9.0, 12.0, 17.0]
    assert page.locator("#runs th").nth(column).get_attribute("aria-sort") == "ascending"
    wait_for_count(page, "#overlay .curve", 3)
    page.get_by_label("Show Pong/b").uncheck()
    wait_for_count(page, "#overlay .curve", 2)
    shown = page.locator("#differences-table tbody tr:visible th").all_text_contents()
    assert shown == ["learning_rate", "optimizer.lr"]  # the seed differs only in the run that was unticked
    assert page.locator("#differences-table td.unusual:visible").all_text_contents() == ["0.0002", "0.0002"]
    page.locator("#curve").select_option(label="Loss")
    assert page.locator("#overlay h3").text_content() == "Loss"
    page.locator("#filter").fill("pong/b")
    assert page.locator("#rows tr:visible").count() == 1
    page.locator("#rows tr:visible a").click()
    page.wait_for_selector('[data-chart="learning"]')
    assert problems == []
    page.close()


def test_names_of_settings_can_be_read_on_a_phone(runs: Path, browser: Any) -> None:
    page, _ = open_page(browser, (runs / "index.html").as_uri(), "phone")
    for row in page.locator("#differences-table tbody tr:visible").all():
        box = row.bounding_box()
        assert box["height"] < 60  # two lines of text, not a letter a line
    page.close()


TEN_TIMES_FASTER = "const wait = setTimeout; window.setTimeout = (call, milliseconds) => wait(call, milliseconds / 10);"
IS_PLAYING = "video => video.isConnected && video.readyState === 4 && !video.paused && video.currentTime > 0"


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of a server of the folder's pages."""
    server, address = make_page_server(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def add_evaluation(folder: Path, number: int) -> None:
    lines = (folder / EVALUATIONS_FILE).read_text()
    (folder / EVALUATIONS_FILE).write_text(lines + json.dumps(make_evaluation(number)) + "\n")


def test_a_served_page_takes_over_what_is_new_and_leaves_alone_what_one_looks_at(tmp_path: Path, browser: Any) -> None:
    folder = make_run_folder(tmp_path / "run", num_evaluations=1)
    for name in ("000250000--12.mp4", "000250000-best--9.mp4"):
        add_video(folder, name, num_frames=900)
    with serve(folder) as address:
        page, problems = open_page(browser, address, "phone", script=TEN_TIMES_FASTER)
        stage = page.locator("#stages-videos video").first.element_handle()
        best = page.locator("#galleries video").first.element_handle()
        for button in (page.locator("#stages-videos .play").first, page.locator("#galleries .play").first):
            button.click()
        for video in (stage, best):
            page.wait_for_function(IS_PLAYING, arg=video)
        assert best.get_attribute("src") == "videos/000250000-best--9.mp4"
        page.locator("#evaluations .scroll").evaluate("part => part.scrollTo(40, 0)")
        page.get_by_role("button", name="training").click()  # hides that curve
        page.locator('[data-chart="train/loss"] .plot svg').press("ArrowLeft")  # last: a click elsewhere ends it
        tooltip = page.locator('[data-chart="train/loss"] .tooltip')
        read = tooltip.text_content()

        add_video(folder, "000500000--4.mp4", num_frames=5)
        add_video(folder, "000500000-best-3.mp4", num_frames=5)
        add_evaluation(folder, 2)  # last, since it is what is waited for
        wait_for_count(page, EVALUATION_ROWS, 2)
        assert page.locator('[data-chart="learning"] .mark').count() == 2
        assert page.locator("#stages-videos figure").count() == 2
        assert stage.evaluate(IS_PLAYING)
        assert best.evaluate(IS_PLAYING)
        assert page.locator("#evaluations .scroll").evaluate("part => part.scrollLeft") == 40
        assert tooltip.is_visible()
        assert tooltip.text_content() == read != ""
        assert page.locator('[data-chart="learning"] .plot [data-series]').count() == 1

        best.evaluate("video => { video.currentTime = video.duration; }")  # seen to its end: the row may change
        page.wait_for_function("() => document.querySelector('#galleries video').src.endsWith('/000500000-best-3.mp4')")
        assert problems == []
        page.close()


def test_a_served_gallery_takes_over_what_is_new_and_leaves_alone_what_one_has_chosen(
    tmp_path: Path, browser: Any
) -> None:
    runs = [make_run_folder(tmp_path / "runs" / name, num_evaluations=2, seed=0) for name in ("a", "b", "c")]
    with serve(tmp_path / "runs") as address:
        page, problems = open_page(browser, address, script=TEN_TIMES_FASTER)
        page.get_by_label("Show b").uncheck()
        page.locator("#overlay .legend").get_by_role("button", name="c").click()
        wait_for_count(page, "#overlay .curve", 1)
        add_evaluation(runs[0], 3)
        page.wait_for_function("() => document.querySelectorAll('#overlay .mark').length === 3")
        wait_for_count(page, "#overlay .curve", 1)
        assert not page.get_by_label("Show b").is_checked()
        assert problems == []
        page.close()


def test_open_shows_the_page_in_a_real_browser(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    seen = tmp_path / "seen.html"
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--virtual-time-budget=2000", "--dump-dom"]
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\n{shlex.join(words)} "$1" > {shlex.quote(str(seen))}\n')
    program.chmod(0o755)
    command = [sys.executable, "-m", "wn_rl.watch", f"run={folder}", "record=false", "open=true"]
    ended = subprocess.run(
        command, env={**os.environ, "BROWSER": f"{program} %s"}, capture_output=True, text=True, timeout=100
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '<g data-series="evaluation mean">' in seen.read_text()  # which the page's script has drawn
