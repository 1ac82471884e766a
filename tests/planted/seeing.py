"""Bugs to plant in what shows a run and an agent, each with the test that must catch it."""

STATISTICS = "wn_rl/nn/statistics.py"
CALLBACK = "wn_rl/callbacks/weight_statistics.py"

PLANTED = [
    {
        "number": 21, "file": STATISTICS,
        "old": "        norms = g.abs()\n",
        "new": "",
        "test": "tests/nn/test_statistics.py::test_norms_of_a_weight_normalized_layer_are_of_v_and_of_w",
    },
    {
        "number": 18, "file": STATISTICS,
        "old": "    return WeightUnits(layer.weight, weight_to_units(layer, layer.weight))",
        "new": "    return WeightUnits(layer.weight, layer.weight)",
        "test": "tests/nn/test_statistics.py::test_a_transposed_convolution_has_a_norm_for_every_output_unit",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "    torch.optim.SGD: 2,",
        "new": "    torch.optim.SGD: 1,",
        "test": "tests/nn/test_statistics.py::test_a_direction_turns_as_its_effective_learning_rate_says",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "pow(-norm_exponent)).mean()",
        "new": "pow(-2)).mean()",
        "test": "tests/nn/test_statistics.py::test_effective_learning_rate_falls_with_the_norm_and_survives_a_zero_unit",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "    return torch.atan2(across, length + along).mean()",
        "new": "    return torch.atan2(across, length).mean()",
        "test": "tests/nn/test_statistics.py::test_update_angle_is_the_angle_between_before_and_after",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "activations.abs().transpose(0, 1).flatten(1).mean(1)",
        "new": "activations.abs().transpose(0, 1).flatten(1).amax(1)",
        "test": "tests/nn/test_statistics.py::test_dormant_units_are_silent_beside_their_layer",
    },
    {
        "number": 19, "file": STATISTICS,
        "old": ".clamp(min=0).sqrt().flip(0)",
        "new": ".clamp(min=0).flip(0)",
        "test": "tests/nn/test_statistics.py::test_effective_rank_is_srank_of_the_singular_values",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "        activations[newest_name] = output\n",
        "new": "        activations[newest_name] = inputs[0]\n",
        "test": "tests/nn/test_statistics.py::test_units_are_those_behind_the_relus",
    },
    {
        "number": 25, "file": CALLBACK,
        "old": "self.algorithm.sample_states(self._num_states, generator)",
        "new": "self.algorithm.sample_states(self._num_states, self.algorithm.generator)",
        "test": "tests/callbacks/test_weight_statistics.py::test_it_only_reads_whatever_the_normalizer",
    },
    {
        "number": 21, "file": CALLBACK,
        "old": "        if not self._is_due or self._angles is not None:\n",
        "new": "        if not self._is_due:\n",
        "test": "tests/callbacks/test_weight_statistics.py::test_the_angle_is_that_of_the_first_update_of_the_chunk",
    },
    {
        "number": 0, "file": CALLBACK,
        "old": "generator = make_statistics_generator(self._seed, self.algorithm.agent_steps)",
        "new": "generator = torch.default_generator",
        "test": "tests/callbacks/test_weight_statistics.py::test_it_only_reads_whatever_the_normalizer",
    },
    {
        "number": 21, "file": "wn_rl/viewing/tensorboard.py",
        "old": "else keep_until_agent_steps + 1",
        "new": "else None",
        "test": "tests/viewing/test_tensorboard.py::test_what_is_played_again_after_a_resume_is_shown_once",
    },
    {
        "number": 21, "file": "wn_rl/viewing/tensorboard.py",
        "old": "        for summary in hparams(",
        "new": "        self.log_metrics(dict.fromkeys(COMPARED, 0.0), 0)\n        for summary in hparams(",
        "test": "tests/viewing/test_tensorboard.py::test_settings_stand_beside_the_score_and_no_score_is_invented",
    },
    {
        "number": 15, "file": "wn_rl/viewing/animation.py",
        "old": "FRAMES_PER_PICTURE = 3 ",
        "new": "FRAMES_PER_PICTURE = 4 ",
        "test": "tests/viewing/test_tensorboard.py::test_a_game_is_a_picture_that_moves_in_real_time_and_true_colors",
    },
    {
        "number": 2, "file": "wn_rl/networks/saliency.py",
        "old": "q_values[:, action].sum()",
        "new": "q_values.amax(1).sum()",
        "test": "tests/networks/test_saliency.py::test_saliency_is_the_gradient_of_the_chosen_action_alone",
    },
    {
        "number": 21, "file": "wn_rl/viewing/commentator.py",
        "old": "(stack[0], self._find_action(step), memory)",
        "new": "(stack[0], 0, memory)",
        "test": "tests/networks/test_saliency.py::test_the_action_that_was_taken_is_the_one_that_is_explained",
    },
    {
        "number": 26, "file": "wn_rl/viewing/live_game.py",
        "old": "decision, self._policy_state = self._policy.act(",
        "new": "decision, _ = self._policy.act(",
        "test": "tests/viewing/test_live.py::test_the_agent_chooses_on_the_stack_that_acting_would_have_seen",
    },
    {
        "number": 21, "file": "wn_rl/viewing/live_game.py",
        "old": "            return False\n",
        "new": "            pass\n",
        "test": "tests/viewing/test_live.py::test_frames_come_at_their_speed_and_a_slow_display_skips",
    },
    {
        "number": 21, "file": "wn_rl/viewing/displays.py",
        "old": "    return codes[0::2] << 24 | codes[1::2]",
        "new": "    return codes[1::2] << 24 | codes[0::2]",
        "test": "tests/viewing/test_live.py::test_a_terminal_shows_two_pixels_a_character_and_is_sent_what_changed",
    },
    {
        "number": 21, "file": "wn_rl/viewing/displays.py",
        "old": "            self._screen.__exit__(None, None, None)\n",
        "new": "",
        "test": "tests/viewing/test_live.py::test_ctrl_c_and_q_end_it_and_leave_the_terminal_as_it_was",
    },
    {
        "number": 21, "file": "wn_rl/callbacks/metrics_logging.py",
        "old": "        self.algorithm.metrics.start(self.algorithm.agent_steps, self.algorithm.num_updates)\n",
        "new": "        pass\n",
        "test": "tests/viewing/test_progress.py::test_an_evaluation_does_not_slow_down_the_chunk_after_it",
    },
    {
        "number": 21, "file": "wn_rl/callbacks/evaluation.py",
        "old": "on_episode=over.append",
        "new": "on_episode=None",
        "test": "tests/viewing/test_progress.py::test_evaluating_tells_after_each_round_how_many_games_are_over",
    },
    {
        "number": 21, "file": "wn_rl/callbacks/progress.py",
        "old": "        if self._evaluated is not None and self.is_due:",
        "new": "        if self._evaluated is not None:",
        "test": "tests/viewing/test_progress.py::test_a_log_tells_every_30_seconds_how_far_a_long_evaluation_is",
    },
    {
        "number": 21, "file": "wn_rl/viewing/displays.py",
        "old": "(pygame.K_ESCAPE, pygame.K_q)",
        "new": "(pygame.K_ESCAPE, pygame.K_a)",
        "test": "tests/viewing/test_live_window.py::test_its_keys_close_it",
    },
    {
        "number": 21, "file": "wn_rl/viewing/displays.py",
        "old": "    if not systems:\n",
        "new": "    if False:\n",
        "test": "tests/viewing/test_live.py::test_no_window_is_drawn_where_nobody_sees_it",
    },
    {
        "number": 21, "file": "wn_rl/viewing/keyboard.py",
        "old": "            tty.setcbreak(self._input)\n",
        "new": "",
        "test": "tests/viewing/test_live.py::test_ctrl_c_and_q_end_it_and_leave_the_terminal_as_it_was",
    },
    {
        "number": 21, "file": "wn_rl/viewing/keyboard.py",
        "old": "            termios.tcsetattr(self._input, termios.TCSAFLUSH, self._settings)\n",
        "new": "            pass\n",
        "test": "tests/viewing/test_live.py::test_ctrl_c_and_q_end_it_and_leave_the_terminal_as_it_was",
    },
    {
        "number": 21, "file": "wn_rl/viewing/screens.py",
        "old": "max(0, length - 1) // self._console.width",
        "new": "0",
        "test": "tests/viewing/test_progress_in_tmux.py",
    },
    {
        "number": 21, "file": "wn_rl/callbacks/progress.py",
        "old": "        if self._evaluated is not None and self._is_enabled and self._screen.shows_every_phase:\n",
        "new": "        if False:\n",
        "test": "tests/viewing/test_progress.py::test_an_evaluation_that_is_over_says_so_until_training_goes_on",
    },
    {
        "number": 21, "file": "wn_rl/system/terminals.py",
        "old": " and IN_NOTEBOOK not in os.environ",
        "new": "",
        "test": "tests/viewing/test_progress.py::test_bars_of_games_and_videos_are_drawn_where_they_can_be_redrawn",
    },
]  # fmt: skip
