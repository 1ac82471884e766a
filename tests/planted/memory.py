"""Bugs of networks with a memory, of who carries it, and of who learns from it."""

MEMORY = "wn_rl/networks/episode_memory.py"
POLICY = "wn_rl/acting/recurrent_policy.py"
ROLLOUT = "wn_rl/replay/rollout.py"
PQN = "wn_rl/algorithms/pqn.py"
NETWORK_TEST = "tests/networks/test_episode_memory.py"
POLICY_TEST = "tests/acting/test_recurrent_policy.py"
TEST = "tests/algorithms/test_recurrent_pqn.py"
FLICKER_TEST = "tests/envs/test_flicker.py"
ONE_CALL = f"{NETWORK_TEST}::test_one_call_is_the_same_as_step_by_step_with_episodes_that_begin_amid_lanes"
FLOAT32 = f"{NETWORK_TEST}::test_it_remembers_in_float32_whatever_the_rest_computes_in"
CARRIED = f"{POLICY_TEST}::test_what_was_seen_is_remembered_until_the_episode_ends"
UNROLLED = f"{TEST}::test_lanes_are_unrolled_as_they_were_played[gru]"
STOPPED = f"{TEST}::test_a_run_stopped_amid_a_rollout_ends_the_same[280-9]"

PLANTED = [
    {
        "number": 26, "file": POLICY,
        "old": "masked_fill(begins, 0.0)",
        "new": "masked_fill(begins & False, 0.0)",
        "test": CARRIED,
    },
    {
        "number": 0, "file": POLICY,
        "old": "return q_values, state._replace(next_memory=memory)",
        "new": "return q_values, state",
        "test": CARRIED,
    },
    {
        "number": 26, "file": MEMORY,
        "old": "        begins[:, 0] = True\n",
        "new": "",
        "test": ONE_CALL,
    },
    {
        "number": 26, "file": MEMORY,
        "old": "memory.masked_fill(is_first[:, :1].to(memory.device), 0.0)",
        "new": "memory",
        "test": ONE_CALL,
    },
    {
        "number": 1, "file": MEMORY,
        "old": "self._to_memory(state)[lane_ends]",
        "new": "self._to_memory(state)[lane_begins]",
        "test": ONE_CALL,
    },
    {
        "number": 9, "file": "wn_rl/networks/q_network.py",
        "old": "*([] if self.memory is None else [self.memory])]",
        "new": "]",
        "test": FLOAT32,
    },
    {
        "number": 30, "file": "wn_rl/networks/q_network.py",
        "old": "initialize_from_data(self, observations, None, None, is_first, generator=generator)",
        "new": "initialize_from_data(self, observations, generator=generator)",
        "test": f"{NETWORK_TEST}::test_first_weights_give_values_of_the_std_that_is_asked_for_over_whole_lanes",
    },
    {
        "number": 26, "file": ROLLOUT,
        "old": "lanes].roll(1, dims=0)",
        "new": "lanes].clone()",
        "test": UNROLLED,
    },
    {
        "number": 1, "file": ROLLOUT,
        "old": "if memory is not None and row == 0:",
        "new": "if memory is not None:",
        "test": UNROLLED,
    },
    {
        "number": 1, "file": PQN,
        "old": "memory = None if seen.memory is None else seen.memory[lanes]",
        "new": "memory = None",
        "test": UNROLLED,
    },
    {
        "number": 12, "file": ROLLOUT,
        "old": "            self._memory.copy_(state[\"memory\"])\n",
        "new": "            pass\n",
        "test": STOPPED,
    },
    {
        "number": 12, "file": "wn_rl/acting/collector.py",
        "old": "next_memory=state[\"memory\"].to(remembered.stack.device)",
        "new": "next_memory=remembered.next_memory",
        "test": STOPPED,
    },
    {
        "number": 21, "file": "wn_rl/networks/saliency.py",
        "old": "network(observation.expand(noise.shape), **past)",
        "new": "network(observation.expand(noise.shape))",
        "test": "tests/app/test_agents_with_memory.py::test_saliency_is_of_the_value_by_what_is_remembered[gru]",
    },
    {
        "number": 13, "file": "wn_rl/envs/flicker.py",
        "old": "= Flicker(self._probability, int(seed))",
        "new": "= Flicker(self._probability, 0)",
        "test": f"{FLICKER_TEST}::test_each_environment_flickers_by_its_own_seed",
    },
    {
        "number": 0, "file": "wn_rl/envs/flicker.py",
        "old": "        self._show(frames, lanes)\n",
        "new": "        self._show(frames, np.arange(self.num_envs))\n",
        "test": f"{FLICKER_TEST}::test_the_same_seed_shows_the_same_frames_again_and_every_reset_but_a_seeded_one_goes_on",
    },
    {
        "number": 16, "file": "wn_rl/envs/rendering.py",
        "old": "observation_frame=flicker.show(seen)",
        "new": "observation_frame=seen",
        "test": f"{FLICKER_TEST}::test_a_stored_game_is_shown_as_the_agent_saw_it",
    },
    {
        "number": 21, "file": "wn_rl/envs/protocols.py",
        "old": "return protocol.name if flicker == 0 else",
        "new": "return protocol.name if flicker < 1 else",
        "test": f"{FLICKER_TEST}::test_a_score_is_labeled_with_it",
    },
]  # fmt: skip
