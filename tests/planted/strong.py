"""Bugs of what makes agents strong: targets of a softmax policy, residual torsos, schedules, bounded priorities."""

MUNCHAUSEN = "wn_rl/losses/munchausen.py"
MUNCHAUSEN_TESTS = "tests/losses/test_munchausen.py::"
EQUATION = f"{MUNCHAUSEN_TESTS}test_values_are_compared_with_equation_1_of_vieillard_et_al_2020"
SOFT_QUANTILES = f"{MUNCHAUSEN_TESTS}test_quantiles_are_compared_with_the_soft_target_of_each_quantile"
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
]  # fmt: skip
