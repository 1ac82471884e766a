"""Bugs of numbers: bounds, combinations that cannot work, what no round is left for, second signals."""

PLANTED = [
    {
        "number": 0, "file": "wn_rl/replay/replay_settings.py",
        "old": "(stack_size + self.n_step + 2)\n",
        "new": "(stack_size + self.n_step + 1)\n",
        "test": "tests/replay/test_replay.py::test_the_smallest_replay_always_has_something_to_sample[2-2]",
    },
    {
        "number": 0, "file": "wn_rl/algorithms/pqn.py",
        "old": "            minibatches[-2:] = [torch.cat(minibatches[-2:])]\n",
        "new": "            pass\n",
        "test": "tests/algorithms/test_pqn.py::test_a_step_left_over_alone_goes_with_the_minibatch_before",
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "if batch_size < 2 and",
        "new": "if batch_size < 1 and",
        "test": "tests/app/test_configuration.py::test_what_cannot_work_is_refused_in_one_line",
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "network.hidden_units < 2",
        "new": "network.hidden_units < 1",
        "test": "tests/app/test_configuration.py::test_what_cannot_work_is_refused_in_one_line",
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "if num_warmup_rounds * self.round_agent_steps >= min",
        "new": "if self.warmup_agent_steps >= min",
        "test": "tests/app/test_configuration.py::test_what_cannot_work_is_refused_in_one_line",
    },
    {
        "number": 0, "file": "wn_rl/learning/settings.py",
        "old": "samples_per_agent_step: float = setting(number(0, 65_536, above=0))",
        "new": "samples_per_agent_step: float = setting(number(0))",
        "test": "tests/app/test_settings.py::test_every_number_is_usable_or_refused_in_a_line_that_names_its_setting[dqn]",
    },
    {
        "number": 0, "file": "wn_rl/app/build.py",
        "old": "not abs(entry) <= GREATEST for",
        "new": "not abs(entry) <= float(\"inf\") for",
        "test": "tests/app/test_settings.py::test_every_number_is_usable_or_refused_in_a_line_that_names_its_setting[dqn]",
    },
    {
        "number": 0, "file": "wn_rl/app/machine.py",
        "old": "            config[key] = num_cores\n",
        "new": "",
        "test": "tests/app/test_settings.py::test_threads_of_a_larger_machine_are_lowered_to_the_cores_of_this_one_and_typed_ones_refused",
    },
    {
        "number": 0, "file": "wn_rl/errors.py",
        "old": "    except ValueError:\n",
        "new": "    except TypeError:\n",
        "test": "tests/app/test_strangers.py::test_numbers_and_words_beyond_reason_are_refused_before_anything_is_made",
    },
    {
        "number": 0, "file": "wn_rl/envs/protocols.py",
        "old": "if type(probability) is int and probability in (0, 1):",
        "new": "if type(probability) is int:",
        "test": "tests/app/test_strangers.py::test_numbers_and_words_beyond_reason_are_refused_before_anything_is_made",
    },
    {
        "number": 0, "file": "wn_rl/system/second_signal.py",
        "old": "SAME_WISH_SECONDS = 2.0",
        "new": "SAME_WISH_SECONDS = 0.0",
        "test": "tests/system/test_second_signal.py::test_a_second_signal_ends_a_process_that_waits_for_a_computation",
    },
    {
        "number": 0, "file": "wn_rl/system/second_signal.py",
        "old": "first = time.monotonic()",
        "new": "first = float(\"inf\")",
        "test": "tests/system/test_second_signal.py::test_a_second_signal_ends_a_process_that_waits_for_a_computation",
    },
    {
        "number": 0, "file": "wn_rl/learning/schedules.py",
        "old": "has_rounds = number == 1 or num_rounds_before * self.num_envs < self.total_agent_steps",
        "new": "has_rounds = True",
        "test": "tests/learning/test_schedules.py::test_an_iteration_that_no_round_is_left_for_is_none",
    },
    {
        "number": 0, "file": "wn_rl/callbacks/metrics_logging.py",
        "old": "if algorithm.agent_steps == self._begin_agent_steps:",
        "new": "if False:",
        "test": "tests/app/test_resume.py::test_chunks_that_no_round_is_left_for_log_nothing",
    },
    {
        "number": 0, "file": "wn_rl/app/run_callbacks.py",
        "old": "num_envs=max(1, min(config.evaluation.num_envs, config.evaluation.episodes)),",
        "new": "num_envs=config.evaluation.num_envs,",
        "test": "tests/app/test_training.py::test_what_a_run_does_to_long_games_and_few_evaluations_is_said_and_spared",
    },
    {
        "number": 0, "file": "wn_rl/app/training.py",
        "old": "if longest < build.make",
        "new": "if longest > build.make",
        "test": "tests/app/test_training.py::test_what_a_run_does_to_long_games_and_few_evaluations_is_said_and_spared",
    },
    {
        "number": 0, "file": "wn_rl/app/resume.py",
        "old": "is_same = min(known) <= then[\"lr\"] <= max(known)",
        "new": "is_same = 0 <= then[\"lr\"] <= now[\"lr\"]",
        "test": "tests/algorithms/test_pqn.py::test_a_checkpoint_may_hold_the_learning_rates_until_then_and_no_others[0.02]",
    },
    {
        "number": 0, "file": "wn_rl/replay/persistence.py",
        "old": "if self._unpacked == segments and",
        "new": "if not segments and",
        "test": "tests/replay/test_replay_persistence.py::test_segments_that_were_checked_are_not_read_again_when_they_are_loaded",
    },
]  # fmt: skip
