"""Bugs to plant in what must run elsewhere: without POSIX, without games, outside the working copy."""

_SYSTEMS = "tests/system/test_other_systems.py::"
_PUBLISHED = "tests/runs/test_published_agents.py::"
_APPLE = "tests/app/test_apple_gpu.py::"

PLANTED = [
    {
        "number": 0,
        "file": "wn_rl/system/files.py",
        "old": "    os.lseek(descriptor, position, os.SEEK_SET)\n    return os.read(descriptor, 1)\n",
        "new": "    return os.pread(descriptor, 1, position)\n",
        "test": f"{_SYSTEMS}test_lines_are_appended_and_files_read_where_there_is_no_pread",
    },
    {
        "number": 0,
        "file": "wn_rl/viewing/keyboard.py",
        "old": 'if sys.platform != "win32":\n    import termios\n    import tty\n',
        "new": "import termios\nimport tty\n",
        "test": f"{_SYSTEMS}test_no_module_imports_what_windows_lacks[keyboard]",
    },
    {
        "number": 0,
        "file": "wn_rl/system/missing_packages.py",
        "old": '(error.name or "").partition(".")[0]',
        "new": '(error.name or "")',
        "test": f"{_SYSTEMS}test_a_missing_package_is_named_in_one_line",
    },
    {
        "number": 0,
        "file": "wn_rl/system/missing_packages.py",
        "old": 'name in ("wn_rl", "__main__")',
        "new": 'name in ("__main__",)',
        "test": f"{_SYSTEMS}test_a_fault_keeps_its_traceback",
    },
    {
        "number": 0,
        "file": "wn_rl/system/missing_packages.py",
        "old": "{name} is missing; ",
        "new": "{name} is missing, which the commands need (wn_rl.nn does not); ",
        "test": f"{_SYSTEMS}test_of_what_the_weight_library_needs_nobody_is_told_that_it_does_not",
    },
    {
        "number": 0,
        "file": "wn_rl/system/memory.py",
        "old": 'non_blocking=device.type == "cuda"',
        "new": 'non_blocking=device.type != "cpu"',
        "test": f"{_APPLE}test_a_copy_to_any_device_but_cudas_is_waited_for[mps-True]",
    },
    {
        "number": 0,
        "file": "wn_rl/replay/replay.py",
        "old": "a_tm1, index = send(torch.from_numpy(integers), self._device)",
        "new": "a_tm1, index = torch.from_numpy(integers).to(self._device, non_blocking=True)",
        "test": f"{_APPLE}test_nothing_else_copies_without_waiting",
    },
    {
        "number": 0,
        "file": "wn_rl/app/machine.py",
        "old": 'if accelerator == "mps" or not observation.is_image:',
        "new": "if not observation.is_image:",
        "test": f"{_APPLE}test_apples_gpu_computes_in_float32_with_frames_in_the_hosts_memory",
    },
    {
        "number": 0,
        "file": "wn_rl/replay/storage.py",
        "old": 'if device.type == "cuda" else ("ram",):',
        "new": 'if device.type != "cpu" else ("ram",):',
        "test": f"{_APPLE}test_apples_gpu_computes_in_float32_with_frames_in_the_hosts_memory",
    },
    {
        "number": 0,
        "file": "wn_rl/learning/optimizers.py",
        "old": "torch.zeros((), device=parameter.device)",
        "new": "torch.zeros((), device=parameter.device, dtype=torch.float64)",
        "test": "tests/algorithms/test_no_float64.py::test_pqn_updates[none]",
    },
    {
        "number": 0,
        "file": "wn_rl/nn/__init__.py",
        "old": "from wn_rl.nn.weight_norm import compute_weight\n",
        "new": "from wn_rl.nn.weight_norm import compute_weight\nimport lightning\n",
        "test": f"{_SYSTEMS}test_the_weight_library_needs_four_packages_and_is_imported_within_half_a_second",
    },
    {
        "number": 0,
        "file": "wn_rl/runs/folder.py",
        "old": "r'[<>:\"\\\\|?*]'",
        "new": "r'[<>\"\\\\|?*]'",
        "test": "tests/runs/test_folder.py::test_a_run_folder_has_a_name_that_every_system_takes",
    },
    {
        "number": 0,
        "file": "wn_rl/runs/published.py",
        "old": 'name.removeprefix("checkpoints/")',
        "new": "name",
        "test": f"{_PUBLISHED}test_a_published_agent_is_found_by_its_game_from_any_folder_and_played_here",
    },
    {
        "number": 0,
        "file": "wn_rl/app/player.py",
        "old": "        if source.parent == PUBLISHED_AGENTS:\n",
        "new": "        if False:\n",
        "test": f"{_PUBLISHED}test_a_published_agent_is_found_by_its_game_from_any_folder_and_played_here",
    },
    {
        "number": 0,
        "file": "wn_rl/runs/agent.py",
        "old": "find_published(path.as_posix()) if not path.exists() else None",
        "new": "find_published(path.name)",
        "test": f"{_PUBLISHED}test_a_game_without_an_agent_is_told_with_those_that_have_one",
    },
]
