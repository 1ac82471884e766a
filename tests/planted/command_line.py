"""Bugs to plant in how commands are told what to do, and in how they say that they stop; number 0 is of no list."""

_WORDS = "tests/app/test_words.py::test_"
_INTERRUPTS = "tests/app/test_interrupts.py::test_"
_STRANGE = "tests/runs/test_strange_agents.py::test_"

_COMPLETION = "tests/app/test_completion.py::test_"

PLANTED = [
    {
        "number": 0, "file": "wn_rl/app/completion.py",
        "old": "    said, comma, start = start.rpartition(\",\")",
        "new": "    said, comma, start = \"\", \"\", start",
        "test": _COMPLETION + "the_tab_key_finds_what_a_command_takes",
    },
    {
        "number": 0, "file": "wn_rl/app/completion.py",
        "old": " - given:\n",
        "new": ":\n",
        "test": _COMPLETION + "the_tab_key_finds_what_a_command_takes",
    },
    {
        "number": 0, "file": "wn_rl/app/completion.py",
        "old": "comments.get(key, \"\").split(\" | \")",
        "new": "comments.get(key, \"\").split(\" |\")[:2]",
        "test": _COMPLETION + "all_words_that_a_setting_knows_are_found",
    },
    {
        "number": 0, "file": "wn_rl/app/completion.py",
        "old": "read_command(name, find_folders(before))",
        "new": "read_command(name)",
        "test": _COMPLETION + "configurations_of_a_users_own_are_found",
    },
    {
        "number": 0, "file": "wn_rl/app/completion.py",
        "old": "{path.name}{'/' if path.is_dir() else ''}",
        "new": "{path.name}",
        "test": _COMPLETION + "agents_and_folders_are_found_as_they_are_typed",
    },
    {
        "number": 0, "file": "wn_rl/app/shells.py",
        "old": "candidate %q \"${candidate#\"$start\"}\"",
        "new": "candidate %q \"$candidate\"",
        "test": _COMPLETION + "bash_completes",
    },
    {
        "number": 0, "file": "wn_rl/app/shells.py",
        "old": "compadd -S '' -- ${(M)candidates:#*[=./]}",
        "new": "compadd -- ${(M)candidates:#*[=./]}",
        "test": _COMPLETION + "zsh_completes",
    },
    {
        "number": 0, "file": "wn_rl/app/shells.py",
        "old": "$before[2..] \"$word\"",
        "new": "$before[2..]",
        "test": _COMPLETION + "fish_completes",
    },
    {
        "number": 0, "file": "wn_rl/app/words.py",
        "old": '        key = key.lstrip("+")\n        _check_key(name, command, key, value)\n',
        "new": '        if not key.startswith("+"):\n            _check_key(name, command, key, value)\n        key = key.lstrip("+")\n',
        "test": _WORDS + "an_unknown_setting_is_refused_in_every_spelling_with_the_nearest",
    },
    {
        "number": 0, "file": "wn_rl/app/words.py",
        "old": "        if key in given:\n",
        "new": "        if False:\n",
        "test": _WORDS + "what_is_meant_otherwise_is_refused",
    },
    {
        "number": 0, "file": "wn_rl/app/words.py",
        "old": "return str(int(number)) if number.is_integer() and",
        "new": "return str(int(number)) if",
        "test": _WORDS + "what_people_write_is_understood",
    },
    {
        "number": 0, "file": "wn_rl/app/words.py",
        "old": r"""    inner = re.sub(r"(\\*)'", r"\1\1\\'", value)
""",
        "new": r"""    inner = value.replace("\\", "\\\\").replace("'", "\\'")
""",
        "test": _WORDS + "a_command_that_is_printed_can_be_pasted",
    },
    {
        "number": 0, "file": "wn_rl/system/terminals.py",
        "old": 'return shlex.join(["python"',
        "new": 'return " ".join(["python"',
        "test": _WORDS + "a_command_that_is_printed_can_be_pasted",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "    if has_agent:\n",
        "new": "    if False:\n",
        "test": _WORDS + "a_tilde_is_the_home_and_latest_the_newest_run",
    },
    {
        "number": 0, "file": "wn_rl/app/configured.py",
        "old": "        if key not in known:\n",
        "new": "        if True:\n",
        "test": _WORDS + "help_says_of_every_setting_what_the_files_say[train]",
    },
    {
        "number": 0, "file": "wn_rl/system/interrupts.py",
        "old": "        signal.signal(signal.SIGINT, _on_interrupt)\n",
        "new": "        return\n",
        "test": _INTERRUPTS + "ctrl_c_while_a_command_loads_is_one_line[train-hydra-game=Pong]",
    },
    {
        "number": 0, "file": "wn_rl/app/command_line.py",
        "old": "        tell_interruption(str(interruption))\n        sys.exit(EXIT_INTERRUPTED)\n",
        "new": "        sys.exit(1)\n",
        "test": _INTERRUPTS + "ctrl_c_at_work_is_one_line",
    },
    {
        "number": 0, "file": "wn_rl/app/command_line.py",
        "old": "    except Exception as error:\n        _end_job(_explain_fault(error), EXIT_FAULT)\n",
        "new": "",
        "test": _INTERRUPTS + "a_fault_of_the_program_is_one_line_and_a_file_with_the_traceback",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/interruption.py",
        "old": "            write_error(reason)\n",
        "new": "            pass\n",
        "test": _INTERRUPTS + "ctrl_c_in_training_says_what_happens_and_quick_ones_are_one",
    },
    {
        "number": 0, "file": "wn_rl/app/training.py",
        "old": "            if not isinstance(error.__context__, KeyboardInterrupt):\n",
        "new": "            if True:\n",
        "test": _INTERRUPTS + "ctrl_c_between_loading_and_training_says_how_to_go_on",
    },
    {
        "number": 0, "file": "wn_rl/app/training.py",
        "old": "        loggers = make_loggers(config, keep_until_agent_steps=agent_steps)\n",
        "new": "        save_configuration(config, folder)\n        loggers = make_loggers(config, keep_until_agent_steps=agent_steps)\n",
        "test": "tests/app/test_training.py::test_a_logger_that_is_missing_leaves_no_run_that_blocks_the_next_try",
    },
    {
        "number": 0, "file": "wn_rl/runs/agent.py",
        "old": "    if (path / CONFIG_FILE).is_file():\n",
        "new": "    if False:\n",
        "test": _STRANGE + "a_run_without_an_agent_says_when_there_will_be_one",
    },
    {
        "number": 0, "file": "wn_rl/runs/agent.py",
        "old": '        if not checkpoint.keys() >= {"agent", "state_dict"}:\n',
        "new": "        if False:\n",
        "test": _STRANGE + "the_checkpoint_of_another_program_is_told_as_that",
    },
    {
        "number": 0, "file": "wn_rl/envs/rendering.py",
        "old": 'has_objects = "allow_pickle" in str(error)',
        "new": "has_objects = False",
        "test": _STRANGE + "nobody_is_advised_to_load_a_file_that_could_run_code",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "            (folder / LOCK_FILE).unlink()\n",
        "new": "            pass\n",
        "test": _STRANGE + "a_folder_that_no_run_came_to_use_is_taken_away_with_its_lock",
    },
    {
        "number": 0, "file": "wn_rl/envs/games.py",
        "old": "    if _RAM.search(name):\n",
        "new": "    if False:\n",
        "test": "tests/envs/test_games.py::test_observations_of_the_memory_are_refused",
    },
    {
        "number": 0, "file": "wn_rl/app/watch_pages.py",
        "old": "    for link in [] if is_run else find_linked_folders(folder):\n",
        "new": "    for link in []:\n",
        "test": "tests/viewing/test_pages.py::test_a_gallery_tells_of_the_links_that_it_does_not_follow",
    },
]  # fmt: skip
