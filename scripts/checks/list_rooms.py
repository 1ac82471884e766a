"""Write the table of rooms into CONTRIBUTING.md, from the layering test's levels and what each room says of itself.

python -m scripts.checks.list_rooms
"""

import ast

from scripts.publishing.marked_sections import replace_section
from tests.test_layering import LEVELS, PACKAGE

PAGE = PACKAGE.parent / "CONTRIBUTING.md"


def make_table() -> str:
    """One row per room, from the commands down to the ground."""
    rows = ["| level | room | what it is |", "|---|---|---|"]
    for level in reversed(range(len(LEVELS))):
        for room in sorted(LEVELS[level]):
            name = f"{room}/__init__.py" if (PACKAGE / room).is_dir() else f"{room}.py"
            docstring = ast.get_docstring(ast.parse((PACKAGE / name).read_text())) or ""
            sentence = docstring.splitlines()[0].replace("|", r"\|").replace("``", "`")
            rows.append(f"| {level} | `{name.removesuffix('__init__.py')}` | {sentence} |")
    return "\n".join(rows)


if __name__ == "__main__":
    replace_section(PAGE, "rooms", make_table())
