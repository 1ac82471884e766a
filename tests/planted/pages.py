"""Bugs of pages: what a file holds becomes markup, a line that is being written becomes a number."""

PAGES = "wn_rl/viewing/pages/"
FILES = "tests/viewing/test_pages.py::test_"
BROWSER = "tests/viewing/test_pages_in_browser.py::test_"
GALLERY = "tests/viewing/test_gallery_in_browser.py::test_"
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
        "old": "      if (isWatched(here)) {",
        "new": "      if (false) {",
        "test": BROWSER + "a_served_page_takes_over_what_is_new_and_leaves_alone_what_one_looks_at",
    },
    {
        "number": 0, "file": PAGES + "templates/refresh.js",
        "old": "        isWaiting = true;\n",
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
    {
        "number": 0, "file": PAGES + "page_cache.py",
        "old": "if kept is None or kept[0] != state:",
        "new": "if kept is None:",
        "test": FILES + "a_served_page_is_made_anew_when_a_file_has_changed_and_not_before",
    },
    {
        "number": 0, "file": PAGES + "gallery_run.py",
        "old": "@lru_cache(maxsize=4096)",
        "new": "@lru_cache(maxsize=0)",
        "test": FILES + "a_served_page_is_made_anew_when_a_file_has_changed_and_not_before",
    },
    {
        "number": 0, "file": PAGES + "run_reader.py",
        "old": "if episodes is not None and episodes < MIN_INTERVAL_GAMES:",
        "new": "if False:",
        "test": FILES + "the_interval_of_a_few_games_is_not_shown",
    },
    {
        "number": 0, "file": "wn_rl/viewing/tables.py",
        "old": 'if row["episodes"] < MIN_INTERVAL_GAMES:',
        "new": "if False:",
        "test": "tests/viewing/test_progress.py::test_the_table_shows_no_interval_of_a_few_games",
    },
    {
        "number": 0, "file": PAGES + "gallery.py",
        "old": "-changed.timestamp()), path",
        "new": "changed.timestamp()), path",
        "test": FILES + "a_gallery_begins_with_the_newest_run",
    },
    {
        "number": 0, "file": PAGES + "gallery.py",
        "old": "enumerate(run_folders if with_pages else [])",
        "new": "enumerate(run_folders)",
        "test": FILES + "the_pages_of_runs_below_are_written_where_asked_for_alone",
    },
    {
        "number": 0, "file": PAGES + "gallery_run.py",
        "old": "other = min(limits.other, OTHER_METRICS * limits.other // max(num_others, 1))",
        "new": "other = limits.other",
        "test": FILES + "a_run_of_many_metrics_takes_no_more_room_than_others",
    },
    {
        "number": 0, "file": PAGES + "templates/page.css",
        "old": "--c7: #050346;",
        "new": "--c7: #3a2090;",
        "test": "tests/viewing/test_palette.py::test_no_two_colors_of_curves_look_alike",
    },
    {
        "number": 0, "file": PAGES + "templates/plotting.js",
        "old": "  element.append(...children);\n",
        "new": "  for (const child of children) child.nodeType ? element.append(child) : element.insertAdjacentHTML('beforeend', child);\n",
        "test": GALLERY + "what_strangers_write_stays_text",
    },
    {
        "number": 0, "file": PAGES + "templates/statistics.js",
        "old": "const reach = t * Math.sqrt(variance / n);",
        "new": "const reach = 1.96 * Math.sqrt(variance / n);",
        "test": GALLERY + "statistics_are_those_of_the_book_and_of_a_bootstrap_by_hand",
    },
    {
        "number": 0, "file": PAGES + "templates/statistics.js",
        "old": "resampled[place++] = scores[Math.floor(random() * scores.length)];",
        "new": "resampled[place++] = games.flat()[Math.floor(random() * resampled.length)];",
        "test": GALLERY + "statistics_are_those_of_the_book_and_of_a_bootstrap_by_hand",
    },
    {
        "number": 0, "file": PAGES + "templates/gallery.js",
        "old": "  if (!readHash()) pickNewest();",
        "new": "  pickNewest();",
        "test": GALLERY + "a_link_leads_to_what_was_chosen",
    },
    {
        "number": 0, "file": PAGES + "templates/plotting.js",
        "old": 'return number < NUM_STROKES ? `var(--c${number % 8})` : "var(--soft)";',
        "new": "return `var(--c${number % 8})`;",
        "test": GALLERY + "curves_that_nobody_tells_apart_are_gray_and_named_where_one_points",
    },
]  # fmt: skip
