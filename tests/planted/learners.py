"""Bugs to plant in what lets several processes learn one network."""

_UPDATE = (
    "tests/algorithms/test_averaged_gradients.py"
    "::test_two_learners_make_the_update_that_one_makes_with_both_minibatches"
)
_LEARNERS = "tests/app/test_learners.py::test_"
_FILES = _LEARNERS + "one_command_trains_several_learners_and_writes_one_set_of_files"
_GAMES = _LEARNERS + "each_learner_plays_games_of_its_own_and_the_first_those_of_a_single_run"
_SIGNAL = _LEARNERS + "a_signal_to_one_stops_all_and_they_go_on_bit_for_bit_whoever_starts_them"
_AMID_NO_CHUNK = _LEARNERS + "a_signal_where_no_chunk_is_under_way_stops_all_too"
_ROLLOUTS = _LEARNERS + "learners_of_rollouts_stop_together_and_go_on_bit_for_bit"
_REFUSED = _LEARNERS + "what_several_learners_cannot_do_is_refused_by_the_first_in_a_line"

_AVERAGE = "        self.learners.average(p.grad for p in self.network.parameters() if p.grad is not None)\n"
_CLIP = "        if max_norm is not None:\n            nn.utils.clip_grad_norm_(self.network.parameters(), max_norm)\n"

PLANTED = [
    {
        "number": 0, "file": "wn_rl/algorithms/algorithm.py",
        "old": _AVERAGE,
        "new": "",
        "test": _UPDATE + "[dqn-None]",
    },
    {
        "number": 0, "file": "wn_rl/algorithms/algorithm.py",
        "old": _AVERAGE + _CLIP,
        "new": _CLIP + _AVERAGE,
        "test": _UPDATE + "[pqn-0.001]",
    },
    {
        "number": 0, "file": "wn_rl/system/learners.py",
        "old": "        flat /= self.number\n",
        "new": "",
        "test": _UPDATE + "[pqn-None]",
    },
    {
        "number": 0, "file": "wn_rl/app/build.py",
        "old": "replace(settings, seed=compute_learner_seed(settings.seed, learners.rank))",
        "new": "replace(settings)",
        "test": _GAMES,
    },
    {
        "number": 0, "file": "wn_rl/system/seeding.py",
        "old": "    if rank == 0:\n",
        "new": "    if rank < 0:\n",
        "test": _GAMES,
    },
    {
        "number": 0, "file": "wn_rl/algorithms/algorithm.py",
        "old": "return self.collector.agent_steps * self.learners.number",
        "new": "return self.collector.agent_steps",
        "test": _GAMES,
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "samples // (self.batch_size * self.num_learners)",
        "new": "samples // self.batch_size",
        "test": _GAMES,
    },
    {
        "number": 0, "file": "wn_rl/algorithms/dqn.py",
        "old": "            self.share_weights()\n",
        "new": "",
        "test": _FILES,
    },
    {
        "number": 0, "file": "wn_rl/algorithms/pqn.py",
        "old": "        self.share_weights()\n",
        "new": "",
        "test": _ROLLOUTS,
    },
    {
        "number": 0, "file": "wn_rl/runs/checkpoint_folder.py",
        "old": "for state in states for name",
        "new": "for state in states[:1] for name",
        "test": _FILES,
    },
    {
        "number": 0, "file": "wn_rl/algorithms/algorithm.py",
        "old": "        return states[self.learners.rank]\n",
        "new": "        return states[0]\n",
        "test": _SIGNAL,
    },
    {
        "number": 0, "file": "wn_rl/app/learner_processes.py",
        "old": "        os.dup2(nothing, 1)\n",
        "new": "",
        "test": _SIGNAL,
    },
    {
        "number": 0, "file": "wn_rl/callbacks/interruption.py",
        "old": "        if not self.is_requested and self._is_heard:\n",
        "new": "        if not self.is_requested:\n",
        "test": _SIGNAL,
    },
    {
        "number": 0, "file": "wn_rl/callbacks/stopping_together.py",
        "old": '        """An iteration is done, and the first learner has evaluated."""\n        self._agree()\n',
        "new": '        """An iteration is done, and the first learner has evaluated."""\n',
        "test": _AMID_NO_CHUNK + "[evaluation]",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/stopping_together.py",
        "old": "            show()\n            self._agree()\n",
        "new": "            show()\n",
        "test": _AMID_NO_CHUNK + "[warm-up]",
    },
    {
        "number": 0, "file": "wn_rl/app/resume.py",
        "old": "        refusal = module.learners.find_any(refusal)",
        "new": "        pass",
        "test": _LEARNERS + "what_one_learner_cannot_go_on_from_nobody_does",
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "        if normalizer in MINIBATCH_NORMALIZERS:\n            raise ConfigurationError(\n                f\"normalizer={normalizer} keeps",
        "new": "        if False:\n            raise ConfigurationError(\n                f\"normalizer={normalizer} keeps",
        "test": _REFUSED + "[batch statistics]",
    },
    {
        "number": 0, "file": "wn_rl/app/learner_processes.py",
        "old": "        if cluster.global_rank() > 0:\n",
        "new": "        if False:\n",
        "test": _REFUSED + "[processes]",
    },
]  # fmt: skip
