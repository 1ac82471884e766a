"""Bugs to plant in the studies of scripts/, each with the test that must catch it."""

PLANTED = [
    {
        "number": 18,
        "file": "scripts/studies/study_gradient_covariance.py",
        "old": "    centered = gradients - gradients.mean(1, keepdim=True)",
        "new": "    centered = gradients",
        "test": "tests/scripts/test_studies.py::test_covariance_of_two_gradients_is_that_worked_by_hand",
    },
    {
        "number": 18,
        "file": "scripts/studies/study_gradient_covariance.py",
        "old": '.unsqueeze(1), mode="complete").Q[:, 1:]',
        "new": '.unsqueeze(1), mode="complete").Q[:, :-1]',
        "test": "tests/scripts/test_studies.py::test_covariance_without_w_is_that_of_the_gradients_of_v",
    },
    {
        "number": 20,
        "file": "scripts/studies/study_minibatch_dependence.py",
        "old": "    network = copy.deepcopy(network).train()",
        "new": "    network = network.train()",
        "test": "tests/scripts/test_studies.py::"
        "test_examples_depend_on_each_other_under_batch_norms_alone_and_elsewhere_not_at_all",
    },
    {
        "number": 21,
        "file": "scripts/studies/study_minibatch_dependence.py",
        "old": "    outputs[1:].square().mean().backward()",
        "new": "    outputs.square().mean().backward()",
        "test": "tests/scripts/test_studies.py::test_change_of_one_example_moves_a_minibatch_mean_as_worked_by_hand",
    },
    {
        "number": 21,
        "file": "scripts/studies/study_learning_rates.py",
        "old": "    missing = [run for run in list_runs(options) if identify(run) not in done]",
        "new": "    missing = [run for run in list_runs(options) if run not in done]",
        "test": "tests/scripts/test_studies.py::test_study_goes_on_where_it_was_interrupted",
    },
    {
        "number": 15,
        "file": "scripts/studies/study_gradient_covariance.py",
        "old": "    shares = (np.clip(observations / LIMITS, -1, 1) + 1) / 2",
        "new": "    shares = np.clip(observations / LIMITS, 0, 1)",
        "test": "tests/scripts/test_studies.py::test_bytes_of_an_observation_are_those_worked_by_hand",
    },
]
