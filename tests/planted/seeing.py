"""Bugs to plant in what shows a run and an agent, each with the test that must catch it."""

STATISTICS = "wn_rl/nn/statistics.py"
CALLBACK = "wn_rl/callbacks/weight_statistics.py"

PLANTED = [
    {
        "number": 21, "file": STATISTICS,
        "old": "        norms = g.abs()\n",
        "new": "",
        "test": "tests/test_statistics.py::test_norms_of_a_weight_normalized_layer_are_of_v_and_of_w",
    },
    {
        "number": 18, "file": STATISTICS,
        "old": "    axis = output_axis(kind)\n",
        "new": "    axis = 0\n",
        "test": "tests/test_statistics.py::test_a_transposed_convolution_has_a_norm_for_every_output_unit",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "    torch.optim.SGD: 2,",
        "new": "    torch.optim.SGD: 1,",
        "test": "tests/test_statistics.py::test_a_direction_turns_as_its_effective_learning_rate_says",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "pow(-norm_exponent)).mean()",
        "new": "pow(-2)).mean()",
        "test": "tests/test_statistics.py::test_effective_learning_rate_falls_with_the_norm_and_survives_a_zero_unit",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "    return torch.atan2(across, length + along).mean()",
        "new": "    return torch.atan2(across, length).mean()",
        "test": "tests/test_statistics.py::test_update_angle_is_the_angle_between_before_and_after",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "activations.abs().transpose(0, 1).flatten(1).mean(1)",
        "new": "activations.abs().transpose(0, 1).flatten(1).amax(1)",
        "test": "tests/test_statistics.py::test_dormant_units_are_silent_beside_their_layer",
    },
    {
        "number": 19, "file": STATISTICS,
        "old": ".clamp(min=0).sqrt().flip(0)",
        "new": ".clamp(min=0).flip(0)",
        "test": "tests/test_statistics.py::test_effective_rank_is_srank_of_the_singular_values",
    },
    {
        "number": 21, "file": STATISTICS,
        "old": "        activations[newest_name] = output\n",
        "new": "        activations[newest_name] = inputs[0]\n",
        "test": "tests/test_statistics.py::test_units_are_those_behind_the_relus",
    },
    {
        "number": 25, "file": CALLBACK,
        "old": "module.replay.sample(self._num_states, generator)",
        "new": "module.replay.sample(self._num_states, module.generator)",
        "test": "tests/test_weight_statistics.py::test_it_only_reads_whatever_the_normalizer",
    },
    {
        "number": 21, "file": CALLBACK,
        "old": "        if not self._is_due or self._angles is not None:\n",
        "new": "        if not self._is_due:\n",
        "test": "tests/test_weight_statistics.py::test_the_angle_is_that_of_the_first_update_of_the_chunk",
    },
    {
        "number": 12, "file": CALLBACK,
        "old": "torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))",
        "new": "torch.default_generator",
        "test": "tests/test_resume.py",
    },
]  # fmt: skip
