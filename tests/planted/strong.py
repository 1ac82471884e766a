"""Bugs of what makes agents strong: targets of a softmax policy, residual torsos, schedules, bounded priorities."""

MUNCHAUSEN = "wn_rl/losses/munchausen.py"
MUNCHAUSEN_TESTS = "tests/losses/test_munchausen.py::"
EQUATION = f"{MUNCHAUSEN_TESTS}test_values_are_compared_with_equation_1_of_vieillard_et_al_2020"
SOFT_QUANTILES = f"{MUNCHAUSEN_TESTS}test_quantiles_are_compared_with_the_soft_target_of_each_quantile"
IMPALA = "wn_rl/networks/impala.py"
IMPALA_TESTS = "tests/networks/test_impala.py::"
FEATURES = f"{IMPALA_TESTS}test_features_are_those_of_the_equations[impala-None-memory_format0]"
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
        "old": "self.target.compute(batch.s_tm1).q_values, batch.a_tm1",
        "new": "output_t.q_values, batch.a_tm1",
        "test": EQUATION,
    },
    {
        "number": 1, "file": DQN,
        "old": "v_t = compute_soft_value(values_t, output_t.q_values,",
        "new": "v_t = compute_soft_value(values_t, output_tm1.q_values,",
        "test": SOFT_QUANTILES,
    },
    {
        "number": 0, "file": DQN,
        "old": "self.target.compute(batch.s_tm1).q_values, batch.a_tm1",
        "new": "output_tm1.q_values.detach(), batch.a_tm1",
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
]  # fmt: skip
