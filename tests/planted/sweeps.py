"""Bugs to plant in what lets many runs go side by side, on one machine or on a cluster."""

_CLUSTERS = "tests/app/test_clusters.py::test_"
_CORES = "tests/system/test_cpu.py::test_processors_are_counted_as_a_container_or_the_user_limits_them"

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
        "file": "wn_rl/app/training.py",
        "old": "plugins=[DurableCheckpointIO(), process],",
        "new": "plugins=[DurableCheckpointIO()],",
        "test": _CLUSTERS + "a_process_that_a_cluster_counts_trains_and_logs_like_any_other",
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/interruption.py",
        "old": '"SIGHUP", "SIGUSR1", "SIGUSR2")',
        "new": '"SIGHUP")',
        "test": _CLUSTERS + "the_signal_that_announces_the_end_of_a_job_leaves_a_checkpoint_and_submits_nothing",
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
]
