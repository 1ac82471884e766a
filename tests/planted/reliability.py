"""Bugs to plant in what survives kills, damage and strangers; number 0 is none of the public list."""

_FAULTS = "tests/app/test_faults.py::"
_KILLS = "tests/app/test_kills.py::test_a_run_killed_between_any_two_changes_of_its_folder_ends_the_same"

PLANTED = [
    {
        "number": 0, "file": "wn_rl/viewing/video.py",
        "old": "        remove_if_possible(temporary)\n",
        "new": "        temporary.unlink(missing_ok=True)\n",
        "test": "tests/viewing/test_video.py::test_a_video_that_cannot_be_written_says_which",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": "        raise OSError(error.errno, error.strerror, str(path)) from error\n",
        "new": "        raise\n",
        "test": "tests/system/test_files.py::test_an_error_says_of_which_file_it_is",
    },
    {
        "number": 0, "file": "wn_rl/viewing/video.py",
        "old": "            name_errors(path),\n",
        "new": "",
        "test": "tests/viewing/test_video.py::test_a_video_that_cannot_be_written_says_which",
    },
    {
        "number": 0, "file": "wn_rl/runs/agent.py",
        "old": "    if any(value.is_complex() for value in weights.values()):\n",
        "new": "    if False:\n",
        "test": "tests/app/test_fuzzing.py::test_weights_of_another_network_are_refused[complex]",
    },
    {
        "number": 0, "file": "wn_rl/viewing/evaluation_videos.py",
        "old": 'return video.is_file() and video.with_suffix(".png").is_file()',
        "new": "return video.is_file()",
        "test": "tests/viewing/test_evaluation_videos.py::"
        "test_the_newest_evaluation_shows_its_best_and_worst_game_too",
    },
    {
        "number": 0, "file": "wn_rl/app/failures.py",
        "old": "    if not folder.is_dir():\n",
        "new": "    if False:\n",
        "test": _FAULTS + "test_a_run_whose_folder_is_removed_while_it_trains_is_not_told_to_go_on_from_there[-was"
        " removed meanwhile]",
    },
    {
        "number": 0, "file": "wn_rl/app/failures.py",
        "old": "    elif saved_agent_steps is not None and not list_checkpoints(folder):\n",
        "new": "    elif False:\n",
        "test": _FAULTS + "test_a_run_whose_folder_is_removed_while_it_trains_is_not_told_to_go_on_from_there",
    },
    {
        "number": 0, "file": "wn_rl/replay/segments.py",
        "old": "        path.parent.mkdir(exist_ok=True)\n",
        "new": "        path.parent.mkdir(parents=True, exist_ok=True)\n",
        "test": _FAULTS + "test_a_run_whose_folder_is_removed_while_it_trains_is_not_told_to_go_on_from_there",
    },
    {
        "number": 0, "file": "wn_rl/app/failures.py",
        "old": 'f" ({os.fsdecode(error.filename)})" if',
        "new": 'f" ({error.filename})" if',
        "test": _FAULTS + "test_a_file_whose_name_is_bytes_is_told_as_text",
    },
    {
        "number": 0, "file": "wn_rl/app/command_line.py",
        "old": "    print(show_text(f\"warning: the thread {name} failed: {told}\"), file=sys.stderr)\n",
        "new": "    threading.__excepthook__(failure)\n",
        "test": _FAULTS + "test_a_thread_that_fails_is_told_in_a_line",
    },
    {
        "number": 0, "file": "wn_rl/runs/agent.py",
        "old": "MAX_READINGS, READING_PAUSE_S = 3, 0.05",
        "new": "MAX_READINGS, READING_PAUSE_S = 1, 0.05",
        "test": "tests/app/test_fuzzing.py::test_an_agent_that_is_written_while_it_is_read_is_read_again",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "        if left := [name for name in OF_A_RUN if (folder / name).exists()]:\n",
        "new": "        if left := []:\n",
        "test": "tests/runs/test_folder.py::test_a_new_run_does_not_begin_among_the_files_of_another",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": '        if size > 0 and os.pread(descriptor, 1, size - 1) != b"\\n":\n',
        "new": "        if False:\n",
        "test": "tests/system/test_files.py::test_a_line_is_appended_after_what_a_killed_writer_left",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": '    with name_errors(path), temporary.open("rb+") as file:\n        os.fsync(file.fileno())\n',
        "new": "",
        "test": "tests/system/test_files.py::test_a_file_of_another_writer_is_on_disk_before_it_has_its_name",
    },
    {
        "number": 0, "file": "wn_rl/system/files.py",
        "old": "    except BaseException:  # an",
        "new": "    except OSError:  # an",
        "test": "tests/system/test_files.py::test_an_impatient_user_leaves_no_temporary_file",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "            path.mkdir(parents=True)\n",
        "new": "            path.mkdir(parents=True, exist_ok=True)\n",
        "test": "tests/runs/test_folder.py::test_runs_that_begin_in_the_same_second_have_folders_of_their_own",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/interruption.py",
        "old": "            _leave(self._terminals)\n",
        "new": "            return\n",
        "test": "tests/app/test_resume.py::test_an_interrupted_run_goes_on_where_it_was_and_ends_the_same",
    },
    {
        "number": 0, "file": "wn_rl/learning/schedules.py",
        "old": "(number if has_rounds else number - 1) + self.num_rests",
        "new": "(number if has_rounds else number - 1)",
        "test": "tests/app/test_extending.py::test_a_finished_run_goes_on_to_its_new_length[220-400-ends0]",
    },
    {
        "number": 0, "file": "wn_rl/learning/schedules.py",
        "old": "min((iteration + 1 - self.num_rests) * self.iteration_agent_steps",
        "new": "min((iteration + 1) * self.iteration_agent_steps",
        "test": "tests/app/test_extending.py::test_a_finished_run_goes_on_to_its_new_length[150-600-ends1]",
    },
    {
        "number": 0, "file": "wn_rl/app/renamed.py",
        "old": '{"initial_q_deviation": "initial_q_std"}',
        "new": "{}",
        "test": "tests/app/test_old_runs.py::test_it_goes_on_to_the_end_that_it_would_have_had",
    },
    {
        "number": 0, "file": "wn_rl/runs/checkpoint_file.py",
        "old": "        damaged = archive.testzip()\n",
        "new": "        damaged = None\n",
        "test": _FAULTS + "test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken[flipped]",
    },
    {
        "number": 0, "file": "wn_rl/algorithms/dqn.py",
        "old": '        self.archive.check_state_dict(state["replay"])\n',
        "new": "",
        "test": _FAULTS + "test_a_damaged_segment_sends_the_run_back_to_a_checkpoint_that_does_without[missing]",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/checkpoint.py",
        "old": "        _check_finite(algorithm)\n        for",
        "new": "        for",
        "test": _FAULTS + "test_what_diverged_never_replaces_a_good_checkpoint[weights after-a weight-nan]",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/metrics_logging.py",
        "old": "        if diverged:\n",
        "new": "        if False:\n",
        "test": _FAULTS + "test_what_diverged_never_replaces_a_good_checkpoint[weights before-train/-nan]",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/metrics_logging.py",
        "old": '        self._metrics_csv.keep_rows(state_dict["num_rows"])\n',
        "new": "        pass\n",
        "test": _KILLS + "[0.55-ram]",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/evaluation.py",
        "old": "        keep_training_rows(self._run_dir / EVALUATIONS_FILE, self._num_rows)\n",
        "new": "",
        "test": _FAULTS + "test_an_older_checkpoint_can_be_gone_on_from",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/checkpoint.py",
        "old": "algorithm.remove_unused_files(keep=needed)",
        "new": "algorithm.remove_unused_files(keep=())",
        "test": _FAULTS + "test_the_best_and_the_newest_checkpoints_are_kept_with_their_segments",
    },
    {
        "number": 0, "file": "wn_rl/runs/folder.py",
        "old": "        lock.acquire(timeout=0)\n",
        "new": "        pass\n",
        "test": _FAULTS + "test_two_trainers_do_not_share_a_run_folder_and_a_dead_one_does_not_block",
    },
    {
        "number": 0, "file": "wn_rl/runs/agent.py",
        "old": "    if _count_plain_bytes(description) > 2 * num_bytes:\n",
        "new": "    if False:\n",
        "test": "tests/app/test_fuzzing.py::test_a_forged_agent_with_true_checksums_is_refused",
    },
    {
        "number": 0, "file": "wn_rl/app/resume.py",
        "old": '        _check_optimizer(checkpoint["optimizer_states"], module.configure_optimizers(), learning_rates)\n',
        "new": "",
        "test": "tests/app/test_fuzzing.py::test_a_forged_checkpoint_with_true_checksums_is_refused",
    },
    {
        "number": 0, "file": "wn_rl/system/fields.py",
        "old": "value = given.get(name, rule.before) if rule.is_changeable else rule.before",
        "new": "value = given.get(name, rule.before)",
        "test": "tests/app/test_settings.py::test_a_run_of_before_goes_on_with_what_it_did",
    },
    {
        "number": 0, "file": "wn_rl/system/fields.py",
        "old": "        if name not in known:\n",
        "new": "        if False:\n",
        "test": "tests/app/test_settings.py::test_wrong_kinds_are_told_by_their_key",
    },
    {
        "number": 0, "file": "wn_rl/app/renamed.py",
        "old": "values[new] = values.pop(old)",
        "new": "values.pop(old)",
        "test": "tests/app/test_settings.py::test_a_run_of_before_goes_on_with_what_it_did",
    },
]  # fmt: skip
