"""Evaluation at the end of each iteration: whole games, in environments of its own, with the folded network."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wn_rl.acting.evaluator import evaluate_agent, summarize_returns
from wn_rl.acting.policies import Policy
from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.nn.folding import make_folded
from wn_rl.runs.agent import make_q_function
from wn_rl.runs.evaluations import append_json_line, keep_training_rows, make_evaluation_row, save_episodes
from wn_rl.runs.layout import EPISODES_FOLDER, EVALUATIONS_FILE
from wn_rl.types import VectorEnvironment


class _InterruptedError(Exception):
    """The run is to stop; the evaluation is done after it is resumed."""


class Evaluation(RunCallback):
    """Plays whole games after every iteration, writes a line to ``evaluations.jsonl`` and logs the scores.

    It reads the network and nothing else of the run: its environments, seeds and generators are its own.

    Args:
        make_environments: builds the evaluation environments, on first use.
        game, protocol: what is played.
        num_episodes, epsilon, seed: see ``evaluate_agent``; 0 episodes switch evaluation off.
        make_policy: what makes the policy of a Q-function.
        run_dir: where results are written.
        listeners: called with (row, records) after each evaluation.
        on_round: called while games are played, very often, with how many are over and how many there will be.
    """

    def __init__(
        self, *, make_environments: Callable[[], VectorEnvironment], game: str, protocol: AnyProtocol,
        num_episodes: int, epsilon: float, seed: int, make_policy: Callable[[Any], Policy], run_dir: Path,
        listeners: list[Callable[[dict[str, Any], list[EpisodeRecord]], None]], on_round: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._make_environments = make_environments
        self._environments: VectorEnvironment | None = None
        self._game, self._protocol = game, protocol
        self._num_episodes, self._epsilon, self._seed = num_episodes, epsilon, seed
        self._make_policy, self._run_dir = make_policy, run_dir
        self._listeners, self._on_round = listeners, on_round
        self._is_due = False
        self._num_rows = 0

    def on_begin(self) -> None:
        """Make up for an evaluation that an interruption left undone."""
        if self._is_due:
            self._evaluate()

    def on_run_end(self) -> None:
        """The same for a resumed run that has nothing left to train."""
        if not self.algorithm.trainer.should_stop:
            self.on_begin()

    def on_iteration_end(self) -> None:
        """Evaluate at the end of an iteration, unless the run was only interrupted there."""
        if self.algorithm.has_iteration_ended and self._num_episodes > 0:
            self._evaluate()

    def close(self) -> None:
        """Stop the environments."""
        if self._environments is not None:
            self._environments.close()
            self._environments = None

    def state_dict(self) -> dict[str, Any]:
        """Whether an evaluation is still to be done, and how many rows of evaluations were written."""
        return {"is_due": self._is_due, "num_rows": self._num_rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember it, and drop the rows of training that were written later: they are played and written again."""
        self._is_due, self._num_rows = state_dict["is_due"], state_dict["num_rows"]
        keep_training_rows(self._run_dir / EVALUATIONS_FILE, self._num_rows)

    def _evaluate(self) -> None:
        began = time.perf_counter()
        self._is_due = True
        try:
            records = self._play()
        except _InterruptedError:
            return
        self._is_due = False
        row = make_evaluation_row(
            summary=summarize_returns(records, self._seed),
            game=self._game, protocol=self._protocol.label, epsilon=self._epsilon, seed=self._seed,
            agent_steps=self.algorithm.agent_steps, source="training",
        )  # fmt: skip
        append_json_line(self._run_dir / EVALUATIONS_FILE, row)
        self._num_rows += 1
        save_episodes(self._run_dir / EPISODES_FOLDER / f"{self.algorithm.agent_steps:09d}", records)
        metrics = {
            f"evaluation/{name}": row[name]
            for name in ("mean", "median", "min", "max", "ci95_low", "ci95_high", "human_normalized")
            if row[name] is not None
        }
        metrics["evaluation/mean_episode_agent_steps"] = row["mean_agent_steps"]
        metrics["speed/evaluation_seconds"] = time.perf_counter() - began
        for logger in self.algorithm.trainer.loggers:
            logger.log_metrics(metrics, step=self.algorithm.agent_steps)
        for listener in self._listeners:
            listener(row, records)

    def _play(self) -> list[EpisodeRecord]:
        if self._environments is None:
            self._environments = self._make_environments()
        compute_q_values = make_q_function(make_folded(self.algorithm.network).float())
        over: list[EpisodeRecord] = []

        def q_function(*inputs: Tensor) -> Any:
            if self.algorithm.trainer.should_stop:
                raise _InterruptedError
            self._on_round(len(over), self._num_episodes)
            return compute_q_values(*inputs)

        with torch.autocast(self.algorithm.device.type, enabled=False):
            return evaluate_agent(
                policy=self._make_policy(q_function), environments=self._environments,
                game=self._game, protocol=self._protocol,
                num_episodes=self._num_episodes, epsilon=self._epsilon, seed=self._seed,
                on_episode=over.append,
            )  # fmt: skip
