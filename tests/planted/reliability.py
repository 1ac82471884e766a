"""Bugs to plant in what survives kills, damage and strangers; number 0 is none of the public list."""

_FAULTS = "tests/app/test_faults.py::"
_KILLS = "tests/app/test_kills.py::test_a_run_killed_between_any_two_changes_of_its_folder_ends_the_same"

PLANTED = [
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
