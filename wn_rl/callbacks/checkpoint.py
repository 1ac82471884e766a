"""Checkpoints: at the end of every iteration, and where a run is interrupted, everything to go on from is saved."""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.metrics_logging import describe_divergence
from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import FORMAT, save_agent
from wn_rl.runs.checkpoint_file import is_plain, read_checkpoint, write_checkpoint
from wn_rl.runs.checkpoint_folder import CheckpointFolder
from wn_rl.runs.layout import AGENT_FOLDER
from wn_rl.system.files import sync_folder


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, durable and distrustful (see wn_rl/runs/checkpoint_file.py)."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the whole file, or raise OSError and leave what was there; ConfigurationError: it could not be read."""
        _check_plain(checkpoint.get("callbacks", {}))
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a file, or raise ConfigurationError; plain containers and tensors only, whatever is asked for."""
        return read_checkpoint(Path(path))


class RunCheckpoint(RunCallback, Checkpoint):
    """Writes ``checkpoints/last.ckpt``, what the algorithm keeps in files of its own, and the newest agent.

    Those files and the logs are forced to disk first, then the checkpoint that refers to them. Only then is removed
    what nothing refers to. So whenever the run is killed, a whole checkpoint is there.

    Args:
        run_dir: the run folder.
        agent_description: what agent.json says besides the counters.
        interruption: who knows whether the run is to stop.
        keep_last: how many of the newest checkpoints are kept.
        keep_best: how many of those with the best evaluations are kept besides.
    """

    def __init__(
        self, *, run_dir: Path, agent_description: dict[str, Any], interruption: Interruption, keep_last: int,
        keep_best: int,
    ) -> None:  # fmt: skip
        self._run_dir = run_dir
        self._description = agent_description
        self._interruption = interruption
        self._folder = CheckpointFolder(run_dir, keep_last=keep_last, keep_best=keep_best)
        self._evaluated: dict[str, Any] = {}
        self._has_saved_agent = False
        self.saved_agent_steps: int | None = None

    def on_evaluation(self, row: dict[str, Any], records: list[Any]) -> None:
        """Remember the score of an agent, for the checkpoint that holds it."""
        self._evaluated = row

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Know the agent that the run goes on from."""
        agent = checkpoint["agent"]
        self.saved_agent_steps = agent["agent_steps"]
        if "mean_return" in agent:
            self._evaluated = {"agent_steps": agent["agent_steps"], "mean": agent["mean_return"]}

    def on_begin(self) -> None:
        """Refuse a user's callback now whose state would make every checkpoint unreadable."""
        callbacks: list[Callback] = self.algorithm.trainer.callbacks  # type: ignore[attr-defined]  # no hint has it
        _check_plain({callback.state_key: callback.state_dict() for callback in callbacks})

    def on_chunk_end(self) -> None:
        """Have new frames written meanwhile; save amid an iteration if the run stops here."""
        self.algorithm.write_ahead()
        if self.algorithm.trainer.should_stop and not self.algorithm.has_iteration_ended:
            self.save()

    def on_iteration_end(self) -> None:
        """Save at the end of an iteration."""
        if self.algorithm.has_iteration_ended:
            self.save()

    def on_end(self) -> None:
        """Save what an interruption during the warm-up left.

        Between the warm-up and the first chunk Lightning takes the iteration for done without any: nothing is saved.
        """
        is_in_warmup = self.algorithm.trainer.current_epoch == 0
        if self._interruption.is_requested and is_in_warmup and self.saved_agent_steps != self.algorithm.agent_steps:
            self.save()

    def on_run_end(self) -> None:
        """Finish what a writer left undone that was killed, or failed, after the last checkpoint of all."""
        is_saved = self.saved_agent_steps == self.algorithm.agent_steps
        if is_saved and not self._has_saved_agent and self.algorithm.learners.is_first:
            self.algorithm.remove_unused_files(keep=self._folder.remove_superfluous(self.algorithm.list_files))
            self._save_agent()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint says of itself which agent it holds."""
        checkpoint["agent"] = self._describe()

    def save(self) -> None:
        """Write everything now.

        Raises:
            ConfigurationError: a weight is not finite, and the checkpoint before is kept; or a segment cannot be
                written.
            OSError: the disk is full, or the folder cannot be written to.
        """
        algorithm, trainer = self.algorithm, self.algorithm.trainer
        _check_finite(algorithm)
        for logger in trainer.loggers:
            logger.save()
        sync_folder(self._run_dir)
        trainer.save_checkpoint(self._folder.next_path)  # all learners together; the first writes
        is_first = algorithm.learners.is_first
        needed = algorithm.learners.tell(self._folder.adopt_next(algorithm.list_files) if is_first else set())
        self.saved_agent_steps = algorithm.agent_steps
        algorithm.remove_unused_files(keep=needed)
        if is_first:
            self._save_agent()

    def _save_agent(self) -> None:
        save_agent(self._run_dir / AGENT_FOLDER, self.algorithm.network, self._describe())
        self._has_saved_agent = True

    def _describe(self) -> dict[str, Any]:
        is_evaluated = self._evaluated.get("agent_steps") == self.algorithm.agent_steps
        return {
            "format": FORMAT,
            **self._description,
            "agent_steps": self.algorithm.agent_steps,
            "updates": self.algorithm.num_updates,
            **({"mean_return": self._evaluated["mean"]} if is_evaluated else {}),
        }


def _check_plain(states: dict[str, Any]) -> None:
    """Raises ConfigurationError where a callback keeps what no checkpoint is read with."""
    for name, state in states.items():
        if not is_plain(state):
            raise ConfigurationError(
                f"the state of the callback {name} holds other objects than tensors, numbers, texts, lists and"
                " dictionaries, and no checkpoint with it could be read again; return those alone from its state_dict"
            )


def _check_finite(algorithm: Algorithm) -> None:
    """Refuse to save what has diverged: the checkpoint before is worth more. One wait for the device per checkpoint.

    Raises:
        ConfigurationError: a weight or a statistic of the optimizer is infinite or no number.
    """
    optimizer: Any = algorithm.optimizers()
    state = optimizer.optimizer.state_dict()["state"]
    tensors = [*algorithm.state_dict().values(), *(value for entry in state.values() for value in entry.values())]
    floating = [value for value in tensors if torch.is_tensor(value) and value.is_floating_point()]
    if not torch.stack([value.isfinite().all().to(algorithm.device) for value in floating]).all():
        raise ConfigurationError(describe_divergence("a weight", algorithm.agent_steps))
