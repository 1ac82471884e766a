"""Bugs of PQN and its rollouts."""

PQN = "wn_rl/algorithms/pqn.py"
ROLLOUT = "wn_rl/replay/rollout.py"
RETURNS = "wn_rl/losses/lambda_returns.py"
TEST = "tests/algorithms/test_pqn.py"
TARGETS = f"{TEST}::test_targets_are_those_of_a_brute_force_over_random_episodes[0-0.65-True]"

PLANTED = [
    {
        "number": 6, "file": ROLLOUT,
        "old": "        self._is_cut[row] = torch.from_numpy(step.truncated)\n",
        "new": "",
        "test": TARGETS,
    },
    {
        "number": 6, "file": ROLLOUT,
        "old": "self.settings.gamma * torch.from_numpy(~terminal)",
        "new": "self.settings.gamma",
        "test": TARGETS,
    },
    {
        "number": 8, "file": ROLLOUT,
        "old": "terminal = step.terminated\n",
        "new": "terminal = step.ended\n",
        "test": TARGETS,
    },
    {
        "number": 8, "file": PQN,
        "old": "is_cut = played.step.truncated | ends_rollout",
        "new": "is_cut = played.step.truncated & ends_rollout | ends_rollout",
        "test": TARGETS,
    },
    {
        "number": 1, "file": ROLLOUT,
        "old": "values.roll(-1, dims=0)",
        "new": "values",
        "test": TARGETS,
    },
    {
        "number": 0, "file": RETURNS,
        "old": "in reversed(range(len(r_t))):",
        "new": "in range(len(r_t)):",
        "test": "tests/losses/test_lambda_returns.py::test_returns_are_those_worked_by_hand",
    },
    {
        "number": 0, "file": ROLLOUT,
        "old": "self._rewards[row] = ",
        "new": "self._rewards[row - 1] = ",
        "test": TARGETS,
    },
    {
        "number": 26, "file": PQN,
        "old": "seen = self.policy.observe(played.step.frame, ",
        "new": "seen = self.policy.observe(self.collector._frames, ",
        "test": TARGETS,
    },
    {
        "number": 16, "file": "wn_rl/algorithms/algorithm.py",
        "old": "        set_learning_rate(optimizer, self.learning_rate_schedule, self.agent_steps)\n",
        "new": "",
        "test": f"{TEST}::test_the_learning_rate_falls_linearly_with_agent_steps",
    },
    {
        "number": 0, "file": PQN,
        "old": "        self.apply_gradient(self.settings.max_gradient_norm)\n        self.acting.expire()\n",
        "new": "        self.apply_gradient(self.settings.max_gradient_norm)\n",
        "test": f"{TEST}::test_the_chain_is_learned_to_within_five_hundredths[weight_norm]",
    },
    {
        "number": 12, "file": PQN,
        "old": "            self.rollout.load_state_dict(saved[\"rollout\"])\n",
        "new": "",
        "test": f"{TEST}::test_a_run_stopped_amid_a_rollout_ends_the_same[280-9]",
    },
    {
        "number": 27, "file": ROLLOUT,
        "old": "self._num_rounds_before, self.num_rounds = self.num_rounds, 0",
        "new": "self._num_rounds_before, self.num_rounds = self.settings.num_rounds, 0",
        "test": "tests/replay/test_rollout.py::test_states_are_drawn_from_the_rounds_that_are_held_or_were_before",
    },
]  # fmt: skip
