"""Bugs of tests/planted_bugs.md that the environments and the evaluator could have."""

ATARI = "wn_rl/envs/atari.py"
ATARI_TESTS = "tests/envs/test_atari_environments.py"

PLANTED = [
    {
        "number": 7,
        "file": ATARI,
        "old": "    return np.ascontiguousarray(observation[:, -1])",
        "new": "    frames = _take_newest_frames.__dict__.setdefault(observation.shape, observation[:, -1])\n"
        "    frames[:] = observation[:, -1]\n"
        "    return frames",
        "test": f"{ATARI_TESTS}::test_no_frame_shares_memory_with_an_earlier_one",
    },
    {
        "number": 8,
        "file": ATARI,
        "old": "            terminated=terminated,\n            truncated=truncated,",
        "new": "            terminated=terminated | truncated,\n            truncated=truncated & False,",
        "test": f"{ATARI_TESTS}::test_a_time_limit_truncates_with_the_true_final_frame_and_counts_no_starting_frame",
    },
    {
        "number": 8,
        "file": "tests/helpers/chain.py",
        "old": "            terminated=terminated,\n            truncated=("
        "self._elapsed_agent_steps >= self._max_episode_agent_steps) & ~terminated,",
        "new": "            terminated=terminated"
        " | (self._elapsed_agent_steps >= self._max_episode_agent_steps),\n"
        "            truncated=np.zeros_like(terminated),",
        "test": "tests/envs/test_toy_environments.py::test_the_time_limit_of_a_chain_truncates_and_the_goal_goes_first",
    },
    {
        "number": 13,
        "file": "wn_rl/acting/policies.py",
        "old": "    explores = torch.rand(num_envs, generator=generator, dtype=torch.float64) < epsilon",
        "new": "    explores = (torch.rand(1, generator=generator) < epsilon).expand(num_envs)",
        "test": "tests/acting/test_policies.py::test_every_environment_tosses_its_own_coin",
    },
    {
        "number": 13,
        "file": "wn_rl/acting/policies.py",
        "old": "    random_actions = torch.randint(num_actions, (num_envs,), generator=generator)",
        "new": "    random_actions = torch.randint(num_actions, (1,), generator=generator).expand(num_envs)",
        "test": "tests/acting/test_policies.py::test_every_environment_draws_its_own_random_action",
    },
    {
        "number": 13,
        "file": "wn_rl/acting/policies.py",
        "old": "uniform = torch.rand(self._num_envs, generator=self.generator, dtype=torch.float64)",
        "new": "uniform = torch.rand(1, generator=self.generator, dtype=torch.float64).repeat(self._num_envs)",
        "test": "tests/acting/test_policies.py::test_every_environment_repeats_for_its_own_time",
    },
    {
        "number": 0,
        "file": "wn_rl/acting/policies.py",
        "old": "begins = explores & (self._times_left == 0)",
        "new": "begins = explores",
        "test": "tests/acting/test_policies.py::test_what_is_repeated_follows_from_coins_actions_and_times",
    },
    {
        "number": 12,
        "file": "wn_rl/acting/policies.py",
        "old": '            self._times_left.copy_(state["times_left"])\n',
        "new": "",
        "test": "tests/acting/test_policies.py::test_exploration_goes_on_in_the_middle_of_repeats",
    },
    {
        "number": 13,
        "file": "wn_rl/system/seeding.py",
        "old": "np.random.default_rng(exploration)",
        "new": "np.random.default_rng(evaluation_seed)",
        "test": "tests/acting/test_evaluator.py::test_episodes_explore_by_streams_of_their_own",
    },
    {
        "number": 15,
        "file": ATARI,
        "old": "self._episode_agent_steps >= self.protocol.max_episode_agent_steps",
        "new": "self._episode_agent_steps >= self.protocol.max_episode_frames",
        "test": f"{ATARI_TESTS}::test_a_time_limit_truncates_with_the_true_final_frame_and_counts_no_starting_frame",
    },
    {
        "number": 15,
        "file": "wn_rl/acting/evaluator.py",
        "old": "            num_frames=len(self._actions) * protocol.frame_skip,",
        "new": "            num_frames=len(self._actions),",
        "test": "tests/acting/test_evaluator.py::test_returns_are_raw_and_reach_over_every_life_to_the_end_of_the_game",
    },
    {
        "number": 28,
        "file": ATARI,
        "old": "            reward_clipping=False,",
        "new": "            reward_clipping=True,",
        "test": f"{ATARI_TESTS}::test_raw_rewards_equal_the_scalar_environment",
    },
    {
        "number": 28,
        "file": ATARI,
        "old": "            episodic_life=False,  #",
        "new": "            episodic_life=True,  #",
        "test": f"{ATARI_TESTS}::test_a_life_lost_is_no_end_and_is_reported_once_even_right_after_a_reset",
    },
    {
        "number": 28,
        "file": ATARI,
        "old": "            life_loss_info=False,  #",
        "new": "            life_loss_info=True,  #",
        "test": f"{ATARI_TESTS}::test_a_life_lost_is_no_end_and_is_reported_once_even_right_after_a_reset",
    },
    {
        "number": 28,
        "file": "wn_rl/acting/evaluator.py",
        "old": "        self._return += reward",
        "new": "        self._return += max(-1.0, min(1.0, reward))",
        "test": "tests/acting/test_evaluator.py::test_returns_are_raw_and_reach_over_every_life_to_the_end_of_the_game",
    },
    {
        "number": 28,
        "file": "wn_rl/acting/evaluator.py",
        "old": "        for lane in np.flatnonzero(step.ended):\n            episode",
        "new": "        for lane in np.flatnonzero(step.ended | step.life_lost):\n            episode",
        "test": "tests/acting/test_evaluator.py::test_returns_are_raw_and_reach_over_every_life_to_the_end_of_the_game",
    },
    {
        "number": 26,
        "file": "wn_rl/acting/policies.py",
        "old": "            started = torch.zeros_like(stack)",
        "new": "            started = stack.clone()",
        "test": "tests/acting/test_policies.py::test_a_stack_forgets_the_episode_before_and_leaves_the_others_alone",
    },
    {
        "number": 7,
        "file": "wn_rl/envs/gymnasium_environments.py",
        "old": "        step = Step(self._newest.copy(), reward",
        "new": "        step = Step(self._newest, reward",
        "test": "tests/envs/test_gymnasium_environments.py::test_steps_that_were_returned_do_not_change_later",
    },
    {
        "number": 5,
        "file": "wn_rl/envs/gymnasium_environments.py",
        "old": "terminated, truncated & ~terminated, no_life_lost)",
        "new": "terminated, truncated, no_life_lost)",
        "test": "tests/envs/test_gymnasium_environments.py::"
        "test_a_time_limit_truncates_and_a_terminal_at_it_terminates",
    },
    {
        "number": 0,
        "file": "wn_rl/envs/gymnasium_environments.py",
        "old": "            action = self._first_action + self._actions[lane]",
        "new": "            action = self._actions[lane]",
        "test": "tests/envs/test_gymnasium_environments.py::"
        "test_truth_values_become_0_and_255_with_channels_first_and_actions_begin_where_the_space_does",
    },
    {
        "number": 0,
        "file": "wn_rl/networks/pixels.py",
        "old": "        self.std.copy_(torch.where(std > 1e-6, std, 1.0))",
        "new": "        self.std.copy_(std)",
        "test": "tests/networks/test_pixels.py::test_vectors_are_standardized_and_squashed",
    },
    {
        "number": 0,
        "file": "wn_rl/envs/gymnasium_environments.py",
        "old": '({} if render_mode is None else {"render_mode": render_mode})',
        "new": '{"render_mode": render_mode}',
        "test": "tests/envs/test_gymnasium_environments.py::test_an_environment_that_takes_no_arguments_is_made",
    },
]
