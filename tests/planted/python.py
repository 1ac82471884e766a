"""Bugs to plant in what programs call, in a user's own parts and configurations, and in how a run begins and stops."""

_PYTHON = "tests/app/test_python_api.py::test_"
_WRAPPERS = "tests/envs/test_gymnasium_wrappers.py::test_"
_TIME = "tests/app/test_time_limit.py::test_a_run_whose_time_is_over_stops_and_goes_on_to_the_same_end"
_AGENT = "tests/app/test_initial_agent.py::test_"
_UNFOLDING = "tests/nn/test_unfolding.py::test_the_function_stays_and_what_is_folded_is_what_was_unfolded"
_PLUGINS = "tests/app/test_plugins.py::test_"
_EXPERIMENTS = "tests/app/test_experiments.py::test_"

PLANTED = [
    {
        "number": 0,
        "file": "wn_rl/acting/observations.py",
        "old": " or (frame.is_image and array.dtype != np.uint8):\n",
        "new": ":\n",
        "test": _PYTHON + "what_an_agent_cannot_see_is_refused",
    },
    {
        "number": 26,
        "file": "wn_rl/envs/gymnasium_wrappers.py",
        "old": 'padding_type="zero"',
        "new": 'padding_type="reset"',
        "test": _WRAPPERS + "stacks_rewards_and_ends_are_those_of_training",
    },
    {
        "number": 0,
        "file": "wn_rl/envs/gymnasium_wrappers.py",
        "old": "integers(self._noop_max + 1)",
        "new": "integers(1, self._noop_max + 1)",
        "test": _WRAPPERS + "an_episode_begins_with_none_to_all_of_the_no_ops_and_ends_at_the_time_limit",
    },
    {
        "number": 0,
        "file": "wn_rl/envs/gymnasium_wrappers.py",
        "old": "    env = TimeLimit(env, protocol.max_episode_agent_steps)\n",
        "new": "",
        "test": _WRAPPERS + "an_episode_begins_with_none_to_all_of_the_no_ops_and_ends_at_the_time_limit",
    },
    {
        "number": 0,
        "file": "wn_rl/envs/gymnasium_wrappers.py",
        "old": "lambda action: action + first_action",
        "new": "lambda action: action",
        "test": _WRAPPERS + "images_and_actions_are_those_of_training",
    },
    {
        "number": 0,
        "file": "wn_rl/app/composition.py",
        "old": "        Singleton.set_state(others)\n",
        "new": "        pass\n",
        "test": _PYTHON + "a_program_with_a_hydra_of_its_own_keeps_it",
    },
    {
        "number": 0,
        "file": "wn_rl/system/callable_module.py",
        "old": "    module.__class__ = _CallableModule\n",
        "new": "",
        "test": _PYTHON + "a_command_and_its_function_are_one_whatever_was_imported_before",
    },
    {
        "number": 0,
        "file": "wn_rl/app/resume.py",
        "old": "        if name in _COUNTED:",
        "new": "        if True:",
        "test": _PYTHON + "a_resumed_run_has_the_callbacks_that_are_given_again",
    },
    {
        "number": 0,
        "file": "wn_rl/app/named_paths.py",
        "old": "        if key in AGENTS and published is not None:\n",
        "new": "        if published is not None:\n",
        "test": "tests/app/test_words.py::test_a_game_is_its_newest_run_or_its_published_agent",
    },
    {
        "number": 0,
        "file": "wn_rl/runs/folder.py",
        "old": '(f"{game}/*",)',
        "new": '("*/*",)',
        "test": "tests/app/test_words.py::test_a_game_is_its_newest_run_or_its_published_agent",
    },
    {
        "number": 0,
        "file": "wn_rl/app/run_callbacks.py",
        "old": "*(limit.on_evaluation_round for limit in limits), ",
        "new": "",
        "test": _TIME,
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/time_limit.py",
        "old": "        self._end = clock() + 60 * max_minutes\n",
        "new": "        self._end = clock() + 60e9 * max_minutes\n",
        "test": _TIME,
    },
    {
        "number": 0,
        "file": "wn_rl/app/sweeps.py",
        "old": '        if outcome == "stopped":\n',
        "new": "        if True:\n",
        "test": "tests/app/test_sweeps.py::test_a_run_whose_time_is_over_leaves_the_others_theirs",
    },
    {
        "number": 0,
        "file": "wn_rl/nn/unfolding.py",
        "old": "    module.set_g_(compute_norms(weight_to_units(folded, weight)))\n",
        "new": "",
        "test": _UNFOLDING,
    },
    {
        "number": 0,
        "file": "wn_rl/nn/unfolding.py",
        "old": "    module.remember_norms()\n",
        "new": "",
        "test": _UNFOLDING,
    },
    {
        "number": 0,
        "file": "wn_rl/app/training.py",
        "old": "                keep_initial_agent(agent, folder)\n",
        "new": "",
        "test": _AGENT + "a_run_begins_with_the_function_of_the_agent_and_copies_it",
    },
    {
        "number": 0,
        "file": "wn_rl/app/configuration.py",
        "old": '        resolved.initialization = "agent"\n',
        "new": '        resolved.initialization = "data_dependent"\n',
        "test": _AGENT + "a_run_begins_with_the_function_of_the_agent_and_copies_it",
    },
    {
        "number": 0,
        "file": "wn_rl/app/plugins.py",
        "old": "        saved[key] = now\n",
        "new": "        pass\n",
        "test": "tests/app/test_strangers.py::test_parts_that_a_saved_run_names_are_shown_and_not_imported",
    },
    {
        "number": 0,
        "file": "wn_rl/system/user_modules.py",
        "old": ".append(folder)\n",
        "new": ".count(folder)\n",
        "test": _PLUGINS + "a_callback_is_made_with_its_arguments",
    },
    {
        "number": 0,
        "file": "wn_rl/system/registry.py",
        "old": "    if name in own:\n",
        "new": "    if False:\n",
        "test": _PLUGINS + "names_of_the_program_stay_its_own_and_a_users_may_be_given_again",
    },
    {
        "number": 0,
        "file": "wn_rl/callbacks/checkpoint.py",
        "old": "        if not is_plain(state):\n",
        "new": "        if False:\n",
        "test": _PLUGINS + "a_state_that_no_checkpoint_could_be_read_with_is_refused",
    },
    {
        "number": 0,
        "file": "wn_rl/app/configured.py",
        "old": "for place in (directory, *folders) for",
        "new": "for place in (directory,) for",
        "test": _EXPERIMENTS + "an_experiment_chooses_files_and_sets_values_over_theirs",
    },
    {
        "number": 16,
        "file": "wn_rl/app/training.py",
        "old": "    resolved.preset, resolved.experiment = preset, experiment\n",
        "new": "    resolved.preset, resolved.experiment = preset, None\n",
        "test": _EXPERIMENTS + "a_run_says_which_experiment_it_is_and_is_no_other_on_resume",
    },
]
