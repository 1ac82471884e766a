"""Bugs of pages: what a file holds becomes markup, a line that is being written becomes a number."""

PAGES = "wn_rl/viewing/pages/"
FILES = "tests/viewing/test_pages.py::test_"
BROWSER = "tests/viewing/test_pages_in_browser.py::test_"
OPENING = "tests/viewing/test_opening_pages.py::test_"

PLANTED = [
    {
        "number": 0, "file": PAGES + "templating.py",
        "old": "autoescape=True",
        "new": "autoescape=False",
        "test": FILES + "nothing_in_a_file_becomes_markup_or_script",
    },
    {
        "number": 0, "file": PAGES + "templating.py",
        "old": 'text.replace("<", "\\\\u003c").replace(">", "\\\\u003e")',
        "new": "text",
        "test": FILES + "nothing_in_a_file_becomes_markup_or_script",
    },
    {
        "number": 0, "file": PAGES + "run_reader.py",
        "old": "        lines.pop()\n",
        "new": "        pass\n",
        "test": FILES + "a_last_line_that_is_being_written_is_left_out",
    },
    {
        "number": 0, "file": PAGES + "server.py",
        "old": "            if not request.path.endswith",
        "new": "            if False and not request.path.endswith",
        "test": FILES + "a_run_without_its_slash_is_shown_with_its_videos",
    },
    {
        "number": 0, "file": PAGES + "run_page.py",
        "old": '"logger.run_dir", ',
        "new": "",
        "test": FILES + "nothing_says_where_a_run_lay_on_its_machine",
    },
    {
        "number": 0, "file": PAGES + "templates/refresh.js",
        "old": "      if (isWatched(here)) continue;\n",
        "new": "",
        "test": BROWSER + "a_served_page_takes_over_what_is_new_and_leaves_alone_what_one_looks_at",
    },
    {
        "number": 0, "file": PAGES + "templates/chart.js",
        "old": "    if (cursor !== null) this.showCursor(cursor);\n",
        "new": "",
        "test": BROWSER + "a_served_page_takes_over_what_is_new_and_leaves_alone_what_one_looks_at",
    },
    {
        "number": 0, "file": "wn_rl/app/watch_pages.py",
        "old": "        os.dup2(nowhere, 2)\n",
        "new": "",
        "test": OPENING + "the_browser_is_given_the_page_and_its_own_troubles_are_not_shown",
    },
    {
        "number": 0, "file": "wn_rl/app/watch_pages.py",
        "old": "    return is_open and not _has_child_failed(BROWSER_SECONDS)",
        "new": "    return is_open",
        "test": OPENING + "without_a_browser_one_line_says_which_page_to_open",
    },
    {
        "number": 0, "file": "wn_rl/app/watch_pages.py",
        "old": "        threading.Thread(target=_open_or_tell, args=(address,), daemon=True).start()",
        "new": "        _open_or_tell(address)",
        "test": OPENING + "a_browser_that_holds_up_its_starter_gets_the_served_page",
    },
]  # fmt: skip
