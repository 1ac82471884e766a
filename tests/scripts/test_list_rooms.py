"""What contributors read of rooms and levels is what the layering test enforces."""

from scripts.checks.list_rooms import PAGE, make_table
from tests.test_layering import LEVELS


def test_contributors_read_of_these_rooms_and_levels() -> None:
    section = PAGE.read_text().partition("<!-- rooms -->\n")[2].partition("\n<!-- /rooms -->")[0]
    assert section == make_table(), "say python -m scripts.checks.list_rooms"
    assert len(section.splitlines()) == 2 + sum(len(rooms) for rooms in LEVELS)
