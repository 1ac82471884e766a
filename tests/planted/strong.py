"""Bugs of what makes agents strong: targets of a softmax policy, residual torsos, schedules, bounded priorities."""

MUNCHAUSEN = "wn_rl/losses/munchausen.py"
MUNCHAUSEN_TESTS = "tests/losses/test_munchausen.py::"
EQUATION = f"{MUNCHAUSEN_TESTS}test_values_are_compared_with_equation_1_of_vieillard_et_al_2020"
SOFT_QUANTILES = f"{MUNCHAUSEN_TESTS}test_quantiles_are_compared_with_the_soft_target_of_each_quantile"
IMPALA = "wn_rl/networks/impala.py"
IMPALA_TESTS = "tests/networks/test_impala.py::"
FEATURES = f"{IMPALA_TESTS}test_features_are_those_of_the_equations[impala-None-memory_format0]"
SAMPLER = "wn_rl/replay/prioritized_sampler.py"
SAMPLER_TESTS = "tests/replay/test_prioritized_sampler.py::"
SCHEDULES = "wn_rl/learning/schedules.py"
FOLLOW = "tests/algorithms/test_dqn.py::test_the_learning_rate_beta_and_gamma_follow_their_schedules"
DQN = "wn_rl/algorithms/dqn.py"

PLANTED = [
    {
        "number": 0, "file": MUNCHAUSEN,
        "old": "scale * (temperature * log_policy).clamp(min=floor, max=0)",
        "new": "scale * temperature * log_policy.clamp(min=floor, max=0)",
        "test": EQUATION,
    },
    {
        "number": 0, "file": MUNCHAUSEN,
        "old": "(values_t - temperature * log_policy)",
        "new": "values_t",
        "test": EQUATION,
    },
    {
        "number": 24, "file": MUNCHAUSEN,
        "old": "(*log_policy.shape, *(1,) * (values_t.dim() - 2))",
        "new": "(*log_policy.shape[:1], *(1,) * (values_t.dim() - 2), *log_policy.shape[1:])",
        "test": SOFT_QUANTILES,
    },
    {
        "number": 1, "file": DQN,
        "old": "target_tm1, batch.a_tm1, scale",
        "new": "output_t.q_values, batch.a_tm1, scale",
        "test": EQUATION,
    },
    {
        "number": 1, "file": DQN,
        "old": "partial(compute_soft_value, q_t=selector_t,",
        "new": "partial(compute_soft_value, q_t=output_tm1.q_values,",
        "test": SOFT_QUANTILES,
    },
    {
        "number": 0, "file": DQN,
        "old": "target_tm1, batch.a_tm1, scale",
        "new": "output_tm1.q_values.detach(), batch.a_tm1, scale",
        "test": EQUATION,
    },
    {
        "number": 23, "file": MUNCHAUSEN,
        "old": "@torch.no_grad()\ndef compute_soft_value",
        "new": "def compute_soft_value",
        "test": f"{MUNCHAUSEN_TESTS}test_no_gradient_flows_through_a_soft_value",
    },
    {
        "number": 0, "file": IMPALA,
        "old": "nn.Sequential(nn.ReLU(), first,",
        "new": "nn.Sequential(nn.ReLU(inplace=True), first,",
        "test": FEATURES,
    },
    {
        "number": 0, "file": IMPALA,
        "old": "nn.MaxPool2d(3, stride=2, padding=1)",
        "new": "nn.MaxPool2d(2, stride=2, ceil_mode=True)",
        "test": FEATURES,
    },
    {
        "number": 16, "file": IMPALA,
        "old": "nn.AdaptiveMaxPool2d(pooled_size)",
        "new": "nn.AdaptiveAvgPool2d(pooled_size)",
        "test": f"{IMPALA_TESTS}test_features_are_those_of_the_equations[impala-2-memory_format0]",
    },
    {
        "number": 16, "file": "wn_rl/networks/q_network.py",
        "old": '"widths": impala_widths,',
        "new": '"widths": IMPALA_WIDTHS,',
        "test": f"{IMPALA_TESTS}test_widths_and_pooling_are_those_that_are_asked_for",
    },
    {
        "number": 0, "file": "wn_rl/networks/reshaping.py",
        "old": "blocks.transpose(2, 3).flatten(3)",
        "new": "blocks.transpose(2, 3).transpose(3, 4).flatten(3)",
        "test": f"{IMPALA_TESTS}test_a_block_of_pixels_is_a_place_as_pytorch_has_it",
    },
    {
        "number": 19, "file": "wn_rl/nn/residual.py",
        "old": "1 / math.sqrt(num_in_a_row)",
        "new": "1 / num_in_a_row",
        "test": f"{IMPALA_TESTS}test_residual_branches_of_any_network_begin_by_their_number",
    },
    {
        "number": 20, "file": "wn_rl/nn/initialization.py",
        "old": "if isinstance(module, Residual):",
        "new": "if False:",
        "test": f"{IMPALA_TESTS}test_the_variance_of_the_sums_stays_within_bounds_through_the_sections",
    },
    {
        "number": 0, "file": "wn_rl/nn/initialization.py",
        "old": "    if not isinstance(layer, SpectralNorm):\n        scale_(layer, factor)",
        "new": "    if isinstance(layer, WeightNormLayer):\n        scale_(layer, factor)",
        "test": f"{IMPALA_TESTS}test_what_the_branches_of_a_section_add_begins_with_variance_one_half_each[batch_norm]",
    },
    {
        "number": 20, "file": "wn_rl/nn/initialization.py",
        "old": "        layer.running_mean.mul_(factor)",
        "new": "        pass",
        "test": f"{IMPALA_TESTS}test_a_normalized_layer_is_scaled_by_its_gain[mean_only_batch_norm]",
    },
    {
        "number": 20, "file": "wn_rl/nn/initialization.py",
        "old": "    if layer.bias is not None:\n        cast(Tensor, layer.bias).mul_(factor)",
        "new": "",
        "test": f"{IMPALA_TESTS}test_a_normalized_layer_is_scaled_by_its_gain[weight_norm]",
    },
    {
        "number": 0, "file": SAMPLER,
        "old": "self._tree.largest or 1.0",
        "new": "max(self._tree.largest, 1.0)",
        "test": f"{SAMPLER_TESTS}test_what_is_new_has_the_largest_priority_of_what_is_stored",
    },
    {
        "number": 0, "file": "wn_rl/replay/sum_tree.py",
        "old": "self._maxima[level - 1][nodes].max(axis=1)",
        "new": "np.maximum(self._maxima[level].reshape(-1)[nodes], self._maxima[level - 1][nodes].max(axis=1))",
        "test": f"{SAMPLER_TESTS}test_one_infinite_error_does_not_give_what_is_new_nearly_all_draws_for_ever",
    },
    {
        "number": 12, "file": "wn_rl/replay/sum_tree.py",
        "old": "            self._maxima[level].reshape(-1)[: len(children)] = maxima.max(axis=1)\n",
        "new": "",
        "test": f"{SAMPLER_TESTS}test_a_sum_tree_depends_on_its_weights_alone",
    },
    {
        "number": 0, "file": SCHEDULES,
        "old": "(1 + math.cos(angle(agent_steps))) / 2",
        "new": "math.cos(angle(agent_steps) / 2)",
        "test": "tests/learning/test_schedules.py::test_a_cosine_falls_slowly_at_both_ends_and_fastest_between",
    },
    {
        "number": 16, "file": "wn_rl/algorithms/algorithm.py",
        "old": "        set_learning_rate(optimizer, self.learning_rate_schedule, self.agent_steps)\n",
        "new": "",
        "test": FOLLOW,
    },
    {
        "number": 15, "file": DQN,
        "old": "self.settings.importance_exponent(self.agent_steps)",
        "new": "self.settings.importance_exponent(self.num_updates)",
        "test": FOLLOW,
    },
    {
        "number": 16, "file": DQN,
        "old": "        self.replay.set_gamma(self.settings.gamma(self.agent_steps))\n",
        "new": "",
        "test": FOLLOW,
    },
    {
        "number": 16, "file": "wn_rl/learning/settings.py",
        "old": 'setting(one_of(LEARNING_RATE_SCHEDULES), before="linear")',
        "new": 'setting(one_of(LEARNING_RATE_SCHEDULES), before="constant")',
        "test": "tests/app/test_settings.py::test_a_run_of_pqn_of_before_goes_on_with_its_falling_learning_rate",
    },
]  # fmt: skip
