"""Bugs to plant in the replay, each with the test that must catch it; number 0 is none of the public list."""

_ACCUMULATOR = "wn_rl/replay/accumulator.py"
_STORAGE = "wn_rl/replay/storage.py"
_COLUMNS = "wn_rl/replay/columns.py"
_COMPRESSED = "wn_rl/replay/compressed_storage.py"
_LANES = "wn_rl/replay/lanes.py"
_MEMORY = "wn_rl/system/memory.py"
_PERSISTENCE = "wn_rl/replay/persistence.py"
_PRIORITIZED = "wn_rl/replay/prioritized_sampler.py"
_REPLAY = "wn_rl/replay/replay.py"
_SAMPLERS = "wn_rl/replay/samplers.py"
_SEGMENTS = "wn_rl/replay/segments.py"
_SUM_TREE = "wn_rl/replay/sum_tree.py"
_ORACLE = "tests/replay/test_replay.py::test_exactly_the_complete_transitions_with_all_their_frames_stored_are_sampled"
_MID_EPISODE = "tests/replay/test_replay_persistence.py::test_what_is_loaded_in_mid_episode_continues_it"

PLANTED = [
    {
        "number": 3,
        "file": _ACCUMULATOR,
        "old": "np.where(terminal[lanes], np.float32(0)",
        "new": "np.where(terminal[lanes] & (offsets == 0), np.float32(0)",
        "test": "tests/replay/test_accumulator.py::"
        "test_a_terminal_ends_the_discount_of_all_that_see_it_and_of_nothing_earlier",
    },
    {
        "number": 4,
        "file": _ACCUMULATOR,
        "old": "self._powers[offsets + 1]",
        "new": "self._powers[1]",
        "test": "tests/replay/test_accumulator.py::"
        "test_a_transition_is_complete_after_n_steps_and_sums_their_discounted_rewards",
    },
    {
        "number": 5,
        "file": _ACCUMULATOR,
        "old": "complete = closed[lanes] | (offsets == self.n_step - 1)",
        "new": "complete = offsets == self.n_step - 1",
        "test": "tests/replay/test_accumulator.py::test_a_time_limit_keeps_bootstrap_with_the_steps_that_are_left",
    },
    {
        "number": 6,
        "file": _ACCUMULATOR,
        "old": "closed = terminal | step.truncated",
        "new": "closed = terminal",
        "test": "tests/replay/test_accumulator.py::test_nothing_is_summed_over_the_end_of_an_episode[truncated]",
    },
    {
        "number": 7,
        "file": _LANES,
        "old": "bases, heads = self._bases[lanes], self.heads[lanes]",
        "new": "bases, heads = self._bases[lanes], self.heads[lanes] - is_first",
        "test": "tests/replay/test_replay.py::test_the_next_observation_of_an_end_is_the_final_one_not_the_reset_one",
    },
    {
        "number": 8,
        "file": _ACCUMULATOR,
        "old": "terminal = step.terminated\n",
        "new": "terminal = step.ended\n",
        "test": "tests/replay/test_accumulator.py::test_a_time_limit_keeps_bootstrap_with_the_steps_that_are_left",
    },
    {
        "number": 26,
        "file": _LANES,
        "old": "np.where(self._stack_offsets <= ages[..., None],",
        "new": "np.where(ages[..., None] >= 0,",
        "test": "tests/replay/test_replay.py::test_a_stack_shows_zeros_before_the_first_frame_of_its_episode",
    },
    {
        "number": 12,
        "file": _REPLAY,
        "old": '        self._sampler.load_state_dict(get_entry(state, "sampler", dict), valid=self._columns.valid)\n',
        "new": "",
        "test": "tests/replay/test_replay_persistence.py::test_what_a_sampler_remembers_is_saved_and_loaded",
    },
    {
        "number": 27,
        "file": _LANES,
        "old": "columns.valid[reaching] = False",
        "new": "columns.valid[rows] = False",
        "test": "tests/replay/test_replay.py::test_no_stack_shows_a_frame_under_the_write_head[1]",
    },
    {
        "number": 27,
        "file": _COLUMNS,
        "old": "self.valid[rows] = False\n",
        "new": "pass\n",
        "test": _ORACLE,
    },
    {
        "number": 0,
        "file": _LANES,
        "old": "columns.age[younger] >= self._younger",
        "new": "columns.age[younger] > self._younger",
        "test": "tests/replay/test_replay.py::test_no_stack_shows_a_frame_under_the_write_head[1]",
    },
    {
        "number": 0,
        "file": _LANES,
        "old": "slots + columns.num_steps[rows]",
        "new": "slots + 1",
        "test": _ORACLE,
    },
    {
        "number": 0,
        "file": _REPLAY,
        "old": "self._columns.action[recent[:, 0]] = actions",
        "new": "self._columns.action[recent[:, -1]] = actions",
        "test": _ORACLE,
    },
    {
        "number": 0,
        "file": _ACCUMULATOR,
        "old": "terminal = terminal | step.life_lost",
        "new": "pass",
        "test": "tests/replay/test_accumulator.py::test_a_lost_life_ends_the_discount_where_the_protocol_says_so",
    },
    {
        "number": 0,
        "file": _ACCUMULATOR,
        "old": "if self.life_loss_ends_discount:",
        "new": "if True:",
        "test": "tests/replay/test_accumulator.py::test_a_lost_life_is_nothing_where_the_protocol_says_so",
    },
    {
        "number": 0,
        "file": _ACCUMULATOR,
        "old": "reward = np.clip(reward, -self.reward_clip, self.reward_clip)",
        "new": "reward = np.clip(reward, 0, self.reward_clip)",
        "test": "tests/replay/test_accumulator.py::test_rewards_are_clipped_before_they_are_summed",
    },
    {
        "number": 0,
        "file": _ACCUMULATOR,
        "old": "        self._num_pending[:] = 0\n        return rows[pending]",
        "new": "        return rows[pending]",
        "test": "tests/replay/test_accumulator.py::test_a_second_cut_completes_nothing_again",
    },
    {
        "number": 0,
        "file": _SAMPLERS,
        "old": "candidates[flat_valid[candidates]]",
        "new": "candidates",
        "test": "tests/replay/test_samplers.py::test_every_valid_row_is_drawn_equally_often[usual]",
    },
    {
        "number": 0,
        "file": _SAMPLERS,
        "old": "draws // num_filled * num_slots + draws % num_filled",
        "new": "draws",
        "test": "tests/replay/test_samplers.py::test_every_valid_row_is_drawn_equally_often[partly filled]",
    },
    {
        "number": 0,
        "file": _SAMPLERS,
        "old": "(2 * batch_size,), generator=generator)",
        "new": "(2 * batch_size,))",
        "test": "tests/replay/test_samplers.py::test_the_generator_given_is_the_only_source_of_chance",
    },
    {
        "number": 0,
        "file": _REPLAY,
        "old": '        self._accumulator.load_state_dict(get_entry(state, "accumulator", dict))\n',
        "new": "",
        "test": _MID_EPISODE,
    },
    {
        "number": 0,
        "file": _LANES,
        "old": '        copy_array(self._ages, state, "ages")\n',
        "new": "",
        "test": _MID_EPISODE,
    },
    {
        "number": 0,
        "file": _PERSISTENCE,
        "old": "self._saved_heads = self._replay.lanes.heads.copy()",
        "new": "pass",
        "test": "tests/replay/test_replay_persistence.py::test_a_loaded_archive_writes_what_the_one_that_went_on_writes",
    },
    {
        "number": 0,
        "file": _PERSISTENCE,
        "old": "            self._saved_heads = self._heads_before_flight\n            raise",
        "new": "            raise",
        "test": "tests/replay/test_replay_persistence.py::test_what_could_not_be_written_is_written_later[True]",
    },
    {
        "number": 0,
        "file": _PERSISTENCE,
        "old": "(segment.stops > tails).any()",
        "new": "(segment.starts >= tails).any()",
        "test": _MID_EPISODE,
    },
    {
        "number": 0,
        "file": _PERSISTENCE,
        "old": "keep={*keep, *own}",
        "new": "keep=keep",
        "test": "tests/replay/test_replay_persistence.py::test_removing_spares_segments_that_no_checkpoint_names_yet",
    },
    {
        "number": 0,
        "file": _SEGMENTS,
        "old": "if hashlib.blake2b(content, digest_size=16).hexdigest() != segment.digest:",
        "new": "if False:",
        "test": "tests/replay/test_replay_damage.py::test_a_damaged_segment_is_refused_in_one_line[another segment's content]",
    },
    {
        "number": 0,
        "file": _SEGMENTS,
        "old": "if zstandard.get_frame_parameters(payload).content_size != num_bytes:",
        "new": "if False:",
        "test": "tests/replay/test_replay_damage.py::test_what_claims_more_than_it_holds_takes_no_memory",
    },
    {
        "number": 0,
        "file": _SEGMENTS,
        "old": "_NAME.fullmatch(segment.name) is not None",
        "new": "bool(segment.name)",
        "test": "tests/replay/test_replay_damage.py::test_a_damaged_checkpoint_is_refused",
    },
    {
        "number": 0,
        "file": "wn_rl/system/control_groups.py",
        "old": "while folder != mount.parent:",
        "new": "if folder != mount.parent:",
        "test": "tests/system/test_memory.py::"
        "test_free_memory_respects_the_limit_of_an_outer_control_group_of_version_2",
    },
    {
        "number": 0,
        "file": _COMPRESSED,
        "old": "        self._decompress[rows] = decompress\n",
        "new": "        self._decompress[:] = decompress\n",
        "test": "tests/replay/test_compressed_storage.py::test_what_is_read_is_what_was_written",
    },
    {
        "number": 0,
        "file": _COMPRESSED,
        "old": "contents[place] for place in places.tolist()",
        "new": "contents[place % len(contents)] for place in range(len(rows))",
        "test": "tests/replay/test_compressed_storage.py::"
        "test_a_compressed_replay_holds_what_the_oracle_says_and_samples_what_plain_ones_do",
    },
    {
        "number": 0,
        "file": _COMPRESSED,
        "old": "self._payloads.fill(compress(bytes(observation.num_bytes)))",
        "new": "self._payloads = np.full(num_rows + 1, compress(bytes(observation.num_bytes)), np.object_)",
        "test": "tests/replay/test_compressed_storage.py::"
        "test_a_compressed_replay_holds_what_the_oracle_says_and_samples_what_plain_ones_do",
    },
    {
        "number": 0,
        "file": _COMPRESSED,
        "old": "self._codec = _train_codec(self._training_frames) or self._codec",
        "new": "pass",
        "test": "tests/replay/test_compressed_storage.py::test_a_dictionary_makes_frames_small_and_a_new_one_follows_the_game",
    },
    {
        "number": 0,
        "file": _STORAGE,
        "old": "<= SAFE_SHARE * free",
        "new": "<= free",
        "test": "tests/system/test_memory.py::"
        "test_auto_leaves_a_quarter_of_the_memory_to_others_and_does_not_guess[9.2-compressed]",
    },
    {
        "number": 0,
        "file": _PRIORITIZED,
        "old": "self._tree.set(rows, 0.0)",
        "new": "pass",
        "test": "tests/replay/test_prioritized_sampler.py::test_what_is_no_longer_valid_is_not_drawn",
    },
    {
        "number": 0,
        "file": _PRIORITIZED,
        "old": "self._tree.set(rows, self._tree.largest or 1.0)",
        "new": "self._tree.set(rows, 1.0)",
        "test": "tests/replay/test_prioritized_sampler.py::test_what_is_new_has_the_largest_priority_of_what_is_stored",
    },
    {
        "number": 0,
        "file": _PRIORITIZED,
        "old": "(priority.min() / priority)",
        "new": "(priority / priority.max())",
        "test": "tests/replay/test_prioritized_sampler.py::test_weights_are_those_of_the_paper[0.5]",
    },
    {
        "number": 0,
        "file": _PRIORITIZED,
        "old": "        self._tree.set_all(priorities)",
        "new": "        self._tree.leaves[:] = priorities",
        "test": "tests/replay/test_replay_persistence.py::test_what_a_sampler_remembers_is_saved_and_loaded",
    },
    {
        "number": 0,
        "file": _PRIORITIZED,
        "old": "dtype=torch.float64, generator=generator)",
        "new": "dtype=torch.float64)",
        "test": "tests/replay/test_prioritized_sampler.py::test_the_generator_given_is_the_only_source_of_chance",
    },
    {
        "number": 0,
        "file": _SUM_TREE,
        "old": "self._levels[level].reshape(-1)[nodes] = self._levels[level - 1][nodes].sum(axis=1, dtype=np.float64)",
        "new": "self._levels[level].reshape(-1)[nodes] += np.float64(weights)",
        "test": "tests/replay/test_prioritized_sampler.py::test_a_sum_tree_depends_on_its_weights_alone",
    },
    {
        "number": 25,
        "file": "wn_rl/replay/persistence.py",
        "old": "            self._segments, self._saved_heads = [], self._replay.lanes.tails.copy()",
        "new": "            self._segments = []",
        "test": "tests/replay/test_replay_persistence.py"
        "::test_segments_that_somebody_removed_while_training_are_written_again",
    },
]
