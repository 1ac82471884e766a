"""How values become one HTML file that needs nothing else: text escaped, style, script and data inside."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import PAGE_FILE
from wn_rl.system.files import read_limited, write_whole
from wn_rl.viewing.pages import formatting

GENERATOR = '<meta name="generator" content="wn_rl">'
"""By which a page of ours is known."""

MAX_PAGE_BYTES = 2**27

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(template: str, scripts: list[str], *, data: Markup, refresh_seconds: int | None, **values: Any) -> str:
    """One page from a template in ``templates/``.

    The page may run this one script and load pictures and videos from its own place, and nothing else (a content
    security policy says so): whatever is in a run's files stays text.

    Args:
        template: HTML; every value is escaped where it is put in.
        scripts: JavaScript files that are joined to the page's script.
        data: what the script draws, as ``escape_json`` makes it.
        refresh_seconds: after which a served page asks for itself anew; None: it does not.
        values: what the template shows.
    """
    script = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _make_environment().get_template(template).render(
        generator=Markup(GENERATOR), style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script), script_digest=digest, data=data, refresh_seconds=refresh_seconds,
        **values,
    )  # fmt: skip


def write_page(folder: Path, page: str) -> Path:
    """Write ``index.html`` whole and return its path.

    Raises:
        ConfigurationError: another index.html is there that is none of ours, or it cannot be written.
    """
    path = folder / PAGE_FILE
    try:
        if not _is_ours(path):
            raise ConfigurationError(f"{path} was not written by wn_rl and is left alone; move it away")
        write_whole(path, page.encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _is_ours(path: Path) -> bool:
    """Whether there is no file of the name, or a page of ours; what is a link or a pipe is none."""
    if not path.exists() and not path.is_symlink():
        return True
    try:
        return GENERATOR.encode() in read_limited(path, MAX_PAGE_BYTES, follow_links=False)[:2000]
    except ValueError:
        return False


def escape_json(data: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element it stands in.

    Raises:
        ValueError: a number that JSON does not know.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    names = ("number", "score", "count", "percent", "hours", "setting")
    environment.filters |= {name: getattr(formatting, f"format_{name}") for name in names}
    environment.globals["interval"] = formatting.format_interval
    return environment
