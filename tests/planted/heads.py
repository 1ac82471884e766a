"""Bugs of distributions, their losses and noise, each with the test that must catch it."""

DISTRIBUTIONS = "wn_rl/networks/distributions.py"
CATEGORICAL = "wn_rl/losses/categorical.py"
NOISY = "wn_rl/nn/noisy_linear.py"
DQN = "wn_rl/algorithms/dqn.py"
RESUMES = "tests/app/test_resume.py::test_every_head_resumes_exactly"

PLANTED = [
    {
        "number": 0, "file": CATEGORICAL,
        "old": "    clipped = returns.clamp(atoms[0], atoms[-1])\n",
        "new": "    clipped = returns\n",
        "test": "tests/losses/test_categorical.py::test_a_projection_worked_by_hand",
    },
    {
        "number": 18, "file": CATEGORICAL,
        "old": "    return (shares * probabilities.unsqueeze(1)).sum(dim=2)",
        "new": "    return (shares * probabilities.unsqueeze(2)).sum(dim=2)",
        "test": "tests/losses/test_categorical.py::test_the_projection_is_that_of_algorithm_1[7-0.5]",
    },
    {
        "number": 11, "file": CATEGORICAL,
        "old": "(loss.detach() - entropy)",
        "new": "loss.detach()",
        "test": "tests/losses/test_categorical.py::test_the_loss_is_the_cross_entropy_and_the_priority_the_divergence",
    },
    {
        "number": 23, "file": CATEGORICAL,
        "old": "    target = target.detach()\n",
        "new": "    target = target + 0\n",
        "test": "tests/losses/test_categorical.py"
        "::test_the_target_is_the_projected_return_of_the_selected_action_and_gets_no_gradient",
    },
    {
        "number": 1, "file": "wn_rl/losses/bellman_error.py",
        "old": "evaluate(output_t.logits)",
        "new": "evaluate(output_tm1.logits)",
        "test": "tests/losses/test_categorical.py"
        "::test_the_target_is_the_projected_return_of_the_selected_action_and_gets_no_gradient",
    },
    {
        "number": 0, "file": "wn_rl/losses/quantile_regression.py",
        "old": "if taus is None else taus",
        "new": "if taus is None else taus.mean(0)",
        "test": "tests/losses/test_quantile_regression.py"
        "::test_the_loss_at_drawn_probabilities_is_equation_3_of_dabney_et_al_2018b",
    },
    {
        "number": 18, "file": DISTRIBUTIONS,
        "old": "unflatten(0, (features.shape[0], -1)).transpose(1, 2)",
        "new": "unflatten(0, (-1, features.shape[0])).permute(1, 2, 0)",
        "test": "tests/networks/test_distributions.py::test_an_implicit_quantile_is_equation_4_of_dabney_et_al_2018b",
    },
    {
        "number": 0, "file": DISTRIBUTIONS,
        "old": "torch.arange(1, self._num_cosines + 1,",
        "new": "torch.arange(0, self._num_cosines,",
        "test": "tests/networks/test_distributions.py::test_an_implicit_quantile_is_equation_4_of_dabney_et_al_2018b",
    },
    {
        "number": 0, "file": DISTRIBUTIONS,
        "old": "(math.pi * frequencies * taus.unsqueeze(1)).cos()",
        "new": "(math.pi * frequencies.to(dtype) * taus.to(dtype).unsqueeze(1)).cos()",
        "test": "tests/networks/test_distributions.py::test_cosines_are_exact_where_the_network_computes_in_bfloat16",
    },
    {
        "number": 0, "file": DISTRIBUTIONS,
        "old": "(outputs.softmax(dim=2) * atoms)",
        "new": "(outputs.softmax(dim=1) * atoms)",
        "test": "tests/networks/test_distributions.py::test_a_categorical_value_is_the_mean_of_its_atoms",
    },
    {
        "number": 0, "file": DISTRIBUTIONS,
        "old": "torch.rand(batch_size, count, generator=generator)",
        "new": "torch.rand(batch_size, count)",
        "test": f"{RESUMES}[noisy_implicit_quantile]",
    },
    {
        "number": 0, "file": NOISY,
        "old": "torch.randn(sum(sizes), generator=generator)",
        "new": "torch.randn(sum(sizes))",
        "test": f"{RESUMES}[noisy_dueling_categorical]",
    },
    {
        "number": 0, "file": NOISY,
        "old": "drawn.sign() * drawn.abs().sqrt()",
        "new": "drawn",
        "test": "tests/nn/test_noisy_linear.py::test_the_noise_is_an_outer_product_times_sigma[weight_norm]",
    },
    {
        "number": 29, "file": "wn_rl/nn/folding.py",
        "old": "make_folded(network: nn.Module, *, keeps_noise: bool = False)",
        "new": "make_folded(network: nn.Module, *, keeps_noise: bool = True)",
        "test": "tests/nn/test_noisy_linear.py::test_folding_for_evaluation_takes_the_noise_away[weight_norm]",
    },
    {
        "number": 29, "file": "wn_rl/networks/folded_network.py",
        "old": "make_folded(online, keeps_noise=True)",
        "new": "make_folded(online)",
        "test": "tests/nn/test_noisy_linear.py::test_what_acts_keeps_noise_and_is_as_the_network_is[weight_norm]",
    },
    {
        "number": 0, "file": "wn_rl/learning/microbatches.py",
        "old": "if tensor is not None]",
        "new": "if tensor is not None and name != \"taus_tm1\"]",
        "test": "tests/learning/test_microbatches.py"
        "::test_loss_and_gradient_are_those_of_the_whole[weight_norm-noisy_implicit_quantile-2-16-True]",
    },
    {
        "number": 13, "file": DQN,
        "old": "        resample_noise_(self.generator, self.acting)\n",
        "new": "",
        "test": "tests/algorithms/test_dqn.py"
        "::test_noise_is_new_in_every_round_and_update_and_the_targets_is_its_own",
    },
    {
        "number": 13, "file": DQN,
        "old": "        resample_noise_(self.generator, self.target)\n",
        "new": "",
        "test": "tests/algorithms/test_dqn.py"
        "::test_noise_is_new_in_every_round_and_update_and_the_targets_is_its_own",
    },
    {
        "number": 0, "file": "wn_rl/networks/renamed_heads.py",
        "old": '"dueling_quantile": {"head": "quantile", "dueling": True}',
        "new": '"dueling_quantile": {"head": "quantile", "dueling": False}',
        "test": "tests/app/test_heads.py::test_an_agent_of_before_plays_under_its_heads_old_name[old1-now1]",
    },
]  # fmt: skip
