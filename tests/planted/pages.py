"""Bugs of pages: what a file holds becomes markup, a line that is being written becomes a number."""

PAGES = "wn_rl/pages/"
FILES = "tests/test_pages.py::test_"

PLANTED = [
    {
        "number": 0, "file": PAGES + "rendering.py",
        "old": "autoescape=True",
        "new": "autoescape=False",
        "test": FILES + "nothing_in_a_file_becomes_markup_or_script",
    },
    {
        "number": 0, "file": PAGES + "rendering.py",
        "old": 'text.replace("<", "\\\\u003c").replace(">", "\\\\u003e")',
        "new": "text",
        "test": FILES + "nothing_in_a_file_becomes_markup_or_script",
    },
    {
        "number": 0, "file": PAGES + "run_folder.py",
        "old": "        lines.pop()\n",
        "new": "        pass\n",
        "test": FILES + "a_last_line_that_is_being_written_is_left_out",
    },
]  # fmt: skip
