"""Bugs of the loss, the algorithm, its configuration and its callbacks."""

LOSS = "wn_rl/losses/q_learning.py"
QUANTILE_LOSS = "wn_rl/losses/quantile_regression.py"
DQN = "wn_rl/algorithms/dqn.py"
PARTS = "wn_rl/learning/microbatches.py"
PARTS_TEST = "tests/learning/test_microbatches.py::test_loss_and_gradient_are_those_of_the_whole"

OPTIMIZERS = "wn_rl/learning/optimizers.py"
RADAM = "tests/learning/test_optimizers.py::test_every_step_is_that_of_pytorchs_radam"
CLIPPING = "tests/algorithms/test_gradient_clipping.py::test_an_update_by_a_fused_optimizer_has_a_clipped_gradient"

PLANTED = [
    {
        "number": 2, "file": "wn_rl/losses/advantage_learning.py",
        "old": "- q_tm1.amax(dim=1)",
        "new": "- q_tm1.mean(dim=1)",
        "test": "tests/algorithms/test_targets.py::test_an_advantage_is_0_or_how_far_the_executed_action_is_below_the_best",
    },
    {
        "number": 2, "file": DQN,
        "old": "r_t = r_t + settings.advantage_learning",
        "new": "r_t = r_t - settings.advantage_learning",
        "test": "tests/algorithms/test_dqn.py::test_advantage_learning_keeps_the_best_values_and_doubles_the_gaps[changes0]",
    },
    {
        "number": 23, "file": "wn_rl/losses/advantage_learning.py",
        "old": "@torch.no_grad()\n",
        "new": "",
        "test": "tests/algorithms/test_targets.py::test_an_advantage_is_0_or_how_far_the_executed_action_is_below_the_best",
    },
    {
        "number": 1, "file": DQN,
        "old": "self.target.compute(batch.s_t, batch.taus_t)",
        "new": "self.target.compute(batch.s_tm1, batch.taus_t)",
        "test": "tests/algorithms/test_dqn.py::test_the_chain_is_learned_to_within_five_hundredths[weight_norm-changes0]",
    },
    {
        "number": 2, "file": LOSS,
        "old": "    return values.gather(1, index).squeeze(1)",
        "new": "    return values.amax(dim=1)",
        "test": "tests/algorithms/test_targets.py::test_squared_error_matches_targets_worked_by_hand",
    },
    {
        "number": 10, "file": DQN,
        "old": "BatchLoss(batch.weight * loss, ",
        "new": "BatchLoss(loss, ",
        "test": "tests/algorithms/test_dqn.py::test_importance_weights_scale_the_loss_and_not_the_priorities",
    },
    {
        "number": 11, "file": DQN,
        "old": "self._note_errors(batch, priority)",
        "new": "self._note_errors(batch, loss)",
        "test": "tests/algorithms/test_dqn.py::test_importance_weights_scale_the_loss_and_not_the_priorities",
    },
    {
        "number": 14, "file": DQN,
        "old": "if self.num_updates % self.settings.target_period_updates == 0:",
        "new": "if self.num_updates % self.settings.target_period_updates == 1:",
        "test": "tests/algorithms/test_dqn.py::test_the_target_moves_every_period_of_updates_and_never_between",
    },
    {
        "number": 14, "file": DQN,
        "old": "if self.num_updates % self.settings.target_period_updates == 0:",
        "new": "if self.agent_steps // self.collector.num_envs % self.settings.target_period_updates == 0:",
        "test": "tests/algorithms/test_dqn.py::test_the_target_moves_every_period_of_updates_and_never_between",
    },
    {
        "number": 15, "file": "wn_rl/acting/collector.py",
        "old": "        self.agent_steps += self.num_envs\n",
        "new": "        self.agent_steps += 4 * self.num_envs\n",
        "test": "tests/algorithms/test_dqn.py::test_agent_steps_count_actions_of_single_environments",
    },
    {
        "number": 16, "file": "wn_rl/replay/replay_settings.py",
        "old": "getattr(self, entry.name) for entry",
        "new": "0.99 if entry.name == \"gamma\" else getattr(self, entry.name) for entry",
        "test": "tests/replay/test_replay.py::test_a_replay_is_told_what_its_section_says",
    },
    {
        "number": 21, "file": "wn_rl/learning/metrics.py",
        "old": "zip(self._names, means, strict=True)",
        "new": "zip(sorted(self._names), means, strict=True)",
        "test": "tests/learning/test_metrics.py::test_every_metric_is_the_mean_of_what_it_is_named_after",
    },
    {
        "number": 23, "file": LOSS,
        "old": "target.detach() - predicted",
        "new": "target - predicted",
        "test": "tests/algorithms/test_targets.py::test_gradient_reaches_the_chosen_action_alone_and_no_target",
    },
    {
        "number": 24, "file": LOSS,
        "old": "    return values.gather(1, index).squeeze(1)",
        "new": "    return values.gather(1, index)",
        "test": "tests/algorithms/test_targets.py::test_every_transition_has_one_loss_and_one_priority",
    },
    {
        "number": 1, "file": "wn_rl/losses/bellman_error.py",
        "old": "evaluate(output_t.quantiles)",
        "new": "evaluate(output_tm1.quantiles)",
        "test": "tests/losses/test_quantile_regression.py::test_the_loss_is_algorithm_1_of_dabney_et_al_2018",
    },
    {
        "number": 18, "file": QUANTILE_LOSS,
        "old": "target.unsqueeze(1) - predicted.unsqueeze(2)",
        "new": "target.unsqueeze(2) - predicted.unsqueeze(1)",
        "test": "tests/losses/test_quantile_regression.py::test_descent_finds_the_quantiles_of_the_returns",
    },
    {
        "number": 18, "file": QUANTILE_LOSS,
        "old": "device=device) + 0.5)",
        "new": "device=device))",
        "test": "tests/losses/test_quantile_regression.py::test_descent_finds_the_quantiles_of_the_returns",
    },
    {
        "number": 23, "file": QUANTILE_LOSS,
        "old": "    target = target.detach()\n",
        "new": "    target = target + 0\n",
        "test": "tests/losses/test_quantile_regression.py::test_the_gradient_reaches_the_executed_action_alone_and_no_target",
    },
    {
        "number": 18, "file": "wn_rl/networks/heads.py",
        "old": "outputs.unflatten(1, (-1, self.distribution.num_outputs))\n\n\nclass DuelingHead",
        "new": "outputs.unflatten(1, (self.distribution.num_outputs, -1)).transpose(1, 2)\n\n\nclass DuelingHead",
        "test": "tests/networks/test_q_network.py::test_quantiles_lie_together_per_action_and_their_mean_is_the_value",
    },
    {
        "number": 25, "file": "wn_rl/callbacks/metrics_logging.py",
        "old": "        for logger in algorithm.trainer.loggers:\n",
        "new": "        algorithm.sample_states(1, algorithm.generator)\n        for logger in algorithm.trainer.loggers:\n",
        "test": "tests/app/test_training.py::test_callbacks_change_no_weight",
    },
    {
        "number": 30, "file": DQN,
        "old": "        self.acting.sync(self.network)\n        self._move_target()\n",
        "new": "        self.acting.sync(self.network)\n",
        "test": "tests/algorithms/test_dqn.py::test_data_dependent_initialization_runs_before_the_target_is_copied",
    },
    {
        "number": 9, "file": "wn_rl/learning/gradients.py",
        "old": "            buffer.copy_(kept)\n",
        "new": "            assert buffer.shape == kept.shape\n",
        "test": "tests/learning/test_gradients.py::test_without_a_compiler_the_run_goes_on_as_it_would_without_compiling",
    },
    {
        "number": 9, "file": DQN,
        "old": "            self.acting.sync(self.network)  # which selects the actions of the target\n",
        "new": "            pass\n",
        "test": "tests/algorithms/test_dqn.py::test_double_q_learning_selects_by_the_newest_weights[none]",
    },
    {
        "number": 0, "file": PARTS,
        "old": "[sum(parts[1:], start=parts[0]) for",
        "new": "[parts[0] for",
        "test": f"{PARTS_TEST}[weight_norm-linear-2-7-False]",
    },
    {
        "number": 0, "file": PARTS,
        "old": "        self._folded.sync(self._network)\n",
        "new": "",
        "test": f"{PARTS_TEST}[none-linear-2-7-False]",
    },
    {
        "number": 0, "file": PARTS,
        "old": "parameter.data = original.data",
        "new": "parameter.data = original.data.clone()",
        "test": f"{PARTS_TEST}[weight_norm-linear-2-7-False]",
    },
    {
        "number": 0, "file": PARTS,
        "old": "part, 1 / len(batch.a_tm1))",
        "new": "part, 1 / len(part.a_tm1))",
        "test": f"{PARTS_TEST}[weight_norm-linear-2-16-True]",
    },
    {
        "number": 0, "file": "wn_rl/system/threads.py",
        "old": "        wait(futures)\n",
        "new": "        len(futures)\n",
        "test": "tests/system/test_threads.py::test_an_error_reaches_the_caller_when_all_have_ended[0]",
    },
    {
        "number": 22, "file": "tests/learning/test_schedules.py",
        "old": "    assert length.num_iterations == 3\n",
        "new": "    assert (length.num_iterations, 4)\n",
        "test": "tests/scripts/test_planted_bugs.py::test_no_assertion_is_of_a_tuple_which_is_always_true[test_schedules]",
    },
    {
        "number": 0, "file": "wn_rl/algorithms/algorithm.py",
        "old": "        if max_norm is not None:\n            nn.utils.clip_grad_norm_(self.network.parameters(), max_norm)\n",
        "new": "",
        "test": f"{CLIPPING}[dqn-0.0001-RAdam-bf16-mixed]",
    },
    {
        "number": 0, "file": OPTIMIZERS,
        "old": "    if rho_t <= 5:",
        "new": "    if rho_t <= 4:",
        "test": f"{RADAM}[{{}}-1.0]",
    },
    {
        "number": 0, "file": OPTIMIZERS,
        "old": "return lr * rect, eps / sqrt(1 - decay)",
        "new": "return lr * rect, eps",
        "test": f"{RADAM}[{{}}-1e-07]",
    },
    {
        "number": 0, "file": OPTIMIZERS,
        "old": "(rho_inf - 2) * rho_t))",
        "new": "(rho_inf - 2) * rho_inf))",
        "test": f"{RADAM}[{{}}-1.0]",
    },
    {
        "number": 0, "file": OPTIMIZERS,
        "old": 'group["num_steps"] = group.get("num_steps", 0) + 1',
        "new": 'group["num_steps"] = self.num_steps = getattr(self, "num_steps", 0) + 1',
        "test": "tests/learning/test_optimizers.py::test_a_restored_optimizer_goes_on_where_it_was[30]",
    },
]  # fmt: skip
