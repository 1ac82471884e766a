"""Bugs of a replay of sequences, and of DQN that learns from them."""

SETTINGS = "wn_rl/replay/sequence_settings.py"
SEQUENCES = "wn_rl/replay/sequences.py"
RECURRENT_DQN = "wn_rl/algorithms/recurrent_dqn.py"
RESCALING = "wn_rl/losses/value_rescaling.py"
PRIORITY = "wn_rl/losses/sequence_priority.py"
REPLAY_TEST = "tests/replay/test_sequences.py"
LOSS_TEST = "tests/losses/test_value_rescaling.py"
TEST = "tests/algorithms/test_recurrent_dqn.py"
SAMPLED = f"{REPLAY_TEST}::test_sampling_reaches_every_sequence_and_no_other[60-uniform]"
SMALLEST = f"{REPLAY_TEST}::test_the_smallest_capacity_always_holds_a_sequence_and_no_slot_is_asked_for_in_vain[2-1-3]"
ONE_AT_A_TIME = f"{TEST}::test_loss_gradient_and_priority_are_those_of_steps_played_one_at_a_time"
BY_HAND = f"{LOSS_TEST}::test_the_priority_of_a_sequence_is_worked_by_hand"

PLANTED = [
    {
        "number": 1, "file": SEQUENCES,
        "old": "positions = self.lanes.heads - 1\n",
        "new": "positions = self.lanes.heads\n",
        "test": SAMPLED,
    },
    {
        "number": 26, "file": SEQUENCES,
        "old": "num_steps[rows[:, :-1]] == 0",
        "new": "num_steps[rows[:, 1:]] == 0",
        "test": SAMPLED,
    },
    {
        "number": 0, "file": SEQUENCES,
        "old": "// period + 1, 0)",
        "new": "// period + 2, 0)",
        "test": SAMPLED,
    },
    {
        "number": 0, "file": SEQUENCES,
        "old": "tails + self.lanes.stack_size - 1, 0)",
        "new": "tails, 0)",
        "test": SAMPLED,
    },
    {
        "number": 0, "file": SEQUENCES,
        "old": "numbers = self._first[lanes] + (slots - self._first[lanes]) % self._num_places",
        "new": "numbers = slots",
        "test": SAMPLED,
    },
    {
        "number": 0, "file": SEQUENCES,
        "old": "rows[:, self.sequence.burn_in :]",
        "new": "rows[:, 0:]",
        "test": SAMPLED,
    },
    {
        "number": 10, "file": SEQUENCES,
        "old": "np.repeat(weight, self.sequence.length)",
        "new": "np.float32(1)",
        "test": f"{REPLAY_TEST}::test_a_surprising_sequence_is_drawn_more_often_and_all_its_steps_weigh_less",
    },
    {
        "number": 12, "file": SEQUENCES,
        "old": '        copy_array(self._memory, sequences, "memory")\n',
        "new": "",
        "test": f"{REPLAY_TEST}::test_what_is_loaded_is_sampled_as_what_was_saved[stored]",
    },
    {
        "number": 12, "file": SEQUENCES,
        "old": "        self._first, self._stop = self._find_complete()\n        books",
        "new": "        books",
        "test": f"{REPLAY_TEST}::test_what_is_loaded_is_sampled_as_what_was_saved[stored]",
    },
    {
        "number": 0, "file": SEQUENCES,
        "old": "4 * num_places * self._stored_size + ",
        "new": "",
        "test": f"{REPLAY_TEST}::test_what_is_remembered_counts_as_memory_that_is_needed",
    },
    {
        "number": 16, "file": SEQUENCES,
        "old": 'memory_size if sequence.start == "stored" else 0',
        "new": "memory_size",
        "test": f"{ONE_AT_A_TIME}[gru-section1-changes1]",
    },
    {
        "number": 0, "file": SETTINGS,
        "old": "+ self.period + stack_size - 2)",
        "new": "+ self.period + stack_size - 3)",
        "test": SMALLEST,
    },
    {
        "number": 0, "file": SETTINGS,
        "old": "num_envs * (self.count_positions(n_step) - 1)",
        "new": "num_envs * (self.count_positions(n_step) - 2)",
        "test": f"{REPLAY_TEST}::test_the_shortest_warm_up_ends_with_a_sequence",
    },
    {
        "number": 1, "file": RECURRENT_DQN,
        "old": "places_tm1 + batch.num_steps",
        "new": "places_tm1 + 1",
        "test": f"{ONE_AT_A_TIME}[gru-section1-changes1]",
    },
    {
        "number": 0, "file": RECURRENT_DQN,
        "old": "for network in (self.acting, self.target)",
        "new": "for network in (self.acting, self.acting)",
        "test": f"{ONE_AT_A_TIME}[gru-section1-changes1]",
    },
    {
        "number": 0, "file": RECURRENT_DQN,
        "old": "            memory=memory, target_memory=target_memory,\n",
        "new": "            target_memory=target_memory,\n",
        "test": f"{ONE_AT_A_TIME}[gru-section1-changes1]",
    },
    {
        "number": 0, "file": RECURRENT_DQN,
        "old": "        self.acting.sync(self.network)\n",
        "new": "",
        "test": f"{TEST}::test_the_burn_in_is_by_the_newest_weights",
    },
    {
        "number": 26, "file": RECURRENT_DQN,
        "old": "online(batch.observations, memory=batch.memory, is_first=batch.is_first)",
        "new": "online(batch.observations, memory=batch.memory)",
        "test": f"{ONE_AT_A_TIME}[gru-section2-changes2]",
    },
    {
        "number": 9, "file": RECURRENT_DQN,
        "old": "output.q_values.detach() if self.settings.double",
        "new": "output.q_values.detach() if not self.settings.double",
        "test": f"{ONE_AT_A_TIME}[gru-section2-changes2]",
    },
    {
        "number": 0, "file": RECURRENT_DQN,
        "old": "self.replay.remember(played.state.memory)",
        "new": "self.replay.remember(played.state.next_memory)",
        "test": f"{ONE_AT_A_TIME}[gru-section2-changes2]",
    },
    {
        "number": 11, "file": RECURRENT_DQN,
        "old": "batch.num_steps.view(shape) > 0,",
        "new": "batch.num_steps.view(shape) > 1,",
        "test": f"{ONE_AT_A_TIME}[gru-section2-changes2]",
    },
    {
        "number": 11, "file": PRIORITY,
        "old": "max_share * error.amax(dim=1) + (1 - max_share) * mean",
        "new": "(1 - max_share) * error.amax(dim=1) + max_share * mean",
        "test": BY_HAND,
    },
    {
        "number": 11, "file": PRIORITY,
        "old": "    error = torch.where(is_learned, error, 0.0)\n",
        "new": "",
        "test": BY_HAND,
    },
    {
        "number": 0, "file": RESCALING,
        "old": "- 1) + EPSILON * values",
        "new": "- 1)",
        "test": f"{LOSS_TEST}::test_each_undoes_the_other",
    },
    {
        "number": 0, "file": RESCALING,
        "old": "rescale(r_t + discount_t * undo_rescaling(v_t))",
        "new": "rescale(r_t) + discount_t * v_t",
        "test": f"{LOSS_TEST}::test_a_target_is_rescaled_after_rewards_are_added_to_returns",
    },
    {
        "number": 0, "file": "wn_rl/networks/folded_network.py",
        "old": "self.network(observation, taus, memory, is_first)",
        "new": "self.network(observation, taus, memory)",
        "test": f"{ONE_AT_A_TIME}[gru-section1-changes1]",
    },
]  # fmt: skip
