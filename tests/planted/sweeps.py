"""Bugs to plant in what lets many runs go side by side, on one machine or on a cluster."""

_CLUSTERS = "tests/app/test_clusters.py::test_"
_PASSED_ON = (
    _CLUSTERS + "the_signal_that_announces_the_end_of_a_job_leaves_a_checkpoint_and_then_reaches_who_listened_before"
)
_CORES = "tests/system/test_cpu.py::test_processors_are_counted_as_a_container_or_the_user_limits_them"
_SWEEPS = "tests/app/test_sweeps.py::test_"
_GOES_ON = _SWEEPS + "a_failed_run_is_told_the_others_go_on_and_the_same_command_finishes_what_is_left"
_CHECKED = _SWEEPS + "every_run_is_checked_before_the_first_begins"

PLANTED = [
    {
        "number": 0,
        "file": "wn_rl/app/one_process.py",
        "old": "        rank_zero_only.rank = 0 ",
        "new": "        pass ",
        "test": _CLUSTERS + "a_process_that_a_cluster_counts_trains_and_logs_like_any_other",
    },
    {
        "number": 0,
        "file": "wn_rl/app/learner_processes.py",
        "old": '"plugins": [OneProcess(), DurableCheckpointIO()]',
        "new": '"plugins": [DurableCheckpointIO()]',
        "test": _CLUSTERS + "a_process_that_a_cluster_counts_trains_and_logs_like_any_other",
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/interruption.py",
        "old": '"SIGHUP", "SIGUSR1", "SIGUSR2")',
        "new": '"SIGHUP")',
        "test": _PASSED_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/training.py",
        "old": "            self.interruption.pass_on()\n",
        "new": "",
        "test": _PASSED_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/interruption.py",
        "old": "            self._warned = partial(previous, signal_number, None)\n",
        "new": "            previous(signal_number, frame)\n",
        "test": _PASSED_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/interruption.py",
        "old": "        if threading.current_thread() is threading.main_thread():\n",
        "new": "        if True:\n",
        "test": _CLUSTERS + "training_works_in_a_thread_that_no_signal_reaches",
    },
    {
        "number": 0,
        "file": "wn_rl/system/cpu.py",
        "old": ' for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")]',
        "new": ' for name in ("OMP_NUM_THREADS",)]',
        "test": _CORES,
    },
    {
        "number": 0,
        "file": "wn_rl/system/cpu.py",
        "old": ", *_list_quotas(root)]",
        "new": "]",
        "test": _CORES,
    },
    {
        "number": 0,
        "file": "wn_rl/app/command_line.py",
        "old": "    if HydraConfig.get().mode != RunMode.MULTIRUN:\n",
        "new": "    if True:\n",
        "test": _GOES_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "        if _is_basic(config.hydra.sweeper):\n",
        "new": "        if False:\n",
        "test": _CHECKED,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "            if folder in folders:\n",
        "new": "            if False:\n",
        "test": _CHECKED,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "        if progress.is_end(total_agent_steps=now.total_agent_steps, num_episodes=now.evaluation.episodes):\n",
        "new": "        if True:\n",
        "test": _GOES_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "        _is_stopped.set()\n",
        "new": "",
        "test": _SWEEPS + "stopping_a_run_stops_the_sweep_and_the_same_command_goes_on",
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "    return read_progress(folder).mean_return\n",
        "new": "    return None\n",
        "test": _GOES_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": "    forget_failure(folder)\n",
        "new": "",
        "test": _GOES_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/configuration.py",
        "old": '    return old if new == "auto" else new\n',
        "new": "    return new\n",
        "test": _SWEEPS + "what_was_found_by_itself_may_be_asked_for_in_the_same_words",
    },
    {
        "number": 0,
        "file": "wn_rl/runs/seed_statistics.py",
        "old": "math.sqrt(n)",
        "new": "n",
        "test": "tests/runs/test_seed_statistics.py::test_three_seeds_make_a_wide_interval_and_one_makes_none",
    },
    {
        "number": 0,
        "file": "wn_rl/viewing/sweep_table.py",
        "old": '        if run.state == "finished" and run.evaluation is not None:\n',
        "new": "        if run.evaluation is not None:\n",
        "test": _SWEEPS + "watch_tells_what_came_of_a_sweep",
    },
    {
        "number": 0,
        "file": "wn_rl/system/labels.py",
        "old": "[{self._label}] {line}",
        "new": "{line}",
        "test": "tests/system/test_labels.py::test_what_a_process_prints_is_labeled_and_no_bar_is_drawn",
    },
    {
        "number": 0,
        "file": "wn_rl/system/labels.py",
        "old": '        *lines, self._begun = (self._begun + text).split("\\n")\n',
        "new": '        lines, self._begun = [text], ""\n',
        "test": "tests/system/test_labels.py::test_each_line_says_who_wrote_it_and_is_written_at_once",
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": '        print(f"run {told.job.num + 1}: {name}", flush=True)\n',
        "new": "",
        "test": _GOES_ON,
    },
    {
        "number": 0,
        "file": "wn_rl/app/command_line.py",
        "old": "            status = tell_all()\n",
        "new": "            status = 0\n",
        "test": _GOES_ON,
    },
]
