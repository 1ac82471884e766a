"""Bugs that let a stranger's files run code, reach beyond their folder, or take long."""

TESTS = "tests/app/test_strangers.py::test_"
FUZZING = "tests/app/test_fuzzing.py::test_a_forged_checkpoint_with_true_checksums_is_refused"
PAGES = "tests/viewing/test_pages.py::test_"

PLANTED = [
    {
        "number": 0, "file": "wn_rl/app/targets.py",
        "old": '    if branch.get("_target_") not in known:\n',
        "new": "    if False:\n",
        "test": "tests/app/test_configuration.py::test_what_cannot_work_is_refused_in_one_line",
    },
    {
        "number": 0, "file": "wn_rl/app/configuration.py",
        "old": "    _check_logger(saved, overrides, run_dir)\n",
        "new": "",
        "test": TESTS + "a_saved_logger_writes_into_its_own_run_folder",
    },
    {
        "number": 0, "file": "wn_rl/runs/configuration_file.py",
        "old": "    if not is_reference(value):\n",
        "new": "    if False:\n",
        "test": TESTS + "nothing_but_a_setting_is_referred_to",
    },
    {
        "number": 0, "file": "wn_rl/runs/configuration_file.py",
        "old": "    if num_steps == MAX_STEPS:\n",
        "new": "    if False:\n",
        "test": TESTS + "a_small_configuration_that_would_take_long_is_refused_soon[a circle]",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": "        if not stat.S_ISREG(status.st_mode):\n",
        "new": "        if False:\n",
        "test": TESTS + "a_stored_game_is_measured_before_it_is_unpacked",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": "    if not follow_links and path.is_symlink():\n",
        "new": "    follow_links = True\n    if False:\n",
        "test": TESTS + "no_file_of_a_page_is_read_before_its_kind_and_size_are_known",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": 'temporary.open("xb")',
        "new": 'temporary.open("wb")',
        "test": TESTS + "no_temporary_name_can_be_foreseen_or_followed",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "    if link is not None:\n",
        "new": "    if False:\n",
        "test": TESTS + "nothing_is_written_through_a_link_out_of_a_run_folder[replay]",
    },
    {
        "number": 0, "file": "wn_rl/envs/rendering.py",
        "old": "        _check_archive(content)\n",
        "new": "",
        "test": TESTS + "a_stored_game_is_measured_before_it_is_unpacked",
    },
    {
        "number": 0, "file": "wn_rl/viewing/pages/run_reader.py",
        "old": "    if not abs(number) <= MAX_NUMBER:\n",
        "new": "    if number != number:\n",
        "test": TESTS + "whatever_a_run_holds_the_others_are_shown_soon",
    },
    {
        "number": 0, "file": "wn_rl/viewing/pages/gallery_run.py",
        "old": "        empty = make_unreadable(path, error)\n",
        "new": "        raise\n",
        "test": TESTS + "what_fails_of_one_run_in_a_way_nobody_thought_of_is_a_line",
    },
    {
        "number": 0, "file": "wn_rl/viewing/pages/server.py",
        "old": "            is_ours = path.resolve(strict=True).is_relative_to(self._folder)\n",
        "new": "            is_ours = bool(path.resolve(strict=True))\n",
        "test": PAGES + "the_server_follows_no_link_out_of_its_folder",
    },
    {
        "number": 0, "file": "wn_rl/viewing/pages/server.py",
        "old": "not hmac.compare_digest(secret.encode(), self._secret.encode())",
        "new": "False",
        "test": PAGES + "the_server_answers_who_has_the_address_and_only_reads",
    },
    {
        "number": 0, "file": "wn_rl/replay/persistence.py",
        "old": "        self._unpack(self._load_all_but_frames(state))\n",
        "new": "        self._load_all_but_frames(state)\n",
        "test": FUZZING,
    },
    {
        "number": 0, "file": "wn_rl/app/resume.py",
        "old": "        _check_progress(checkpoint)\n",
        "new": "",
        "test": FUZZING,
    },
    {
        "number": 0, "file": "wn_rl/app/resume.py",
        "old": "        if not saved[name].isfinite().all():\n",
        "new": "        if False:\n",
        "test": FUZZING,
    },
    {
        "number": 0, "file": "wn_rl/errors.py",
        "old": "        super().__init__(show_text(message))\n",
        "new": "        super().__init__(message)\n",
        "test": TESTS + "text_of_files_reaches_the_terminal_escaped_and_cut",
    },
    {
        "number": 0, "file": "wn_rl/system/cpu.py",
        "old": "not 1 <= value <= num_cores",
        "new": "not 1 <= value",
        "test": TESTS + "numbers_and_words_beyond_reason_are_refused_before_anything_is_made",
    },
]  # fmt: skip
