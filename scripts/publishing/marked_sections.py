"""Pages that people write, with a section that a script writes: between ``<!-- name -->`` and ``<!-- /name -->``."""

from pathlib import Path

from wn_rl.system.files import write_whole


def replace_section(page: Path, name: str, text: str) -> None:
    """Put ``text`` in the place of what the section holds; the rest of the page stays. A missing page is begun."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = (page.read_text() if page.exists() else f"{begin}\n{end}\n").partition(begin)
    _, _, after = rest.partition(end)
    write_whole(page, f"{before}{begin}\n{text}\n{end}{after}".encode())
