"""Checkpoints: at the end of every iteration, and where a run is interrupted, everything to go on from is saved."""

import os
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from wn_rl.acting.agent import FORMAT, save_agent
from wn_rl.callbacks.interruption import Interruption
from wn_rl.dqn import DQN

LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"
AGENT_FOLDER = "agent"


class RunCheckpoint(Checkpoint):
    """Writes ``checkpoints/last.ckpt``, the replay's new segments, and the newest agent into the run folder.

    The replay is saved first, the checkpoint that refers to it then, under a temporary name, forced to disk and
    renamed; only then are segments removed that nothing refers to. So whenever the run is killed, the last
    checkpoint is whole.

    Args:
        run_dir: the run folder.
        agent_description: what agent.json says besides the counters.
        interruption: who knows whether the run is to stop.
    """

    def __init__(self, *, run_dir: Path, agent_description: dict[str, Any], interruption: Interruption) -> None:
        self._run_dir = run_dir
        self._description = agent_description
        self._interruption = interruption
        self._saved_agent_steps: int | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Have new frames written meanwhile; save amid an iteration if the run was asked to stop."""
        assert isinstance(pl_module, DQN)
        pl_module.archive.write_new_frames()
        if self._interruption.is_requested and not pl_module.iteration_has_ended:
            self.save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save at the end of an iteration."""
        assert isinstance(pl_module, DQN)
        if pl_module.iteration_has_ended:
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save what an interruption during the warm-up left."""
        assert isinstance(pl_module, DQN)
        if self._interruption.is_requested and self._saved_agent_steps != pl_module.agent_steps:
            self.save(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint says of itself which agent it holds."""
        assert isinstance(pl_module, DQN)
        checkpoint["agent"] = self._describe(pl_module)

    def save(self, trainer: lightning.Trainer, module: DQN) -> None:
        """Write everything now."""
        path = self._run_dir / LAST_CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".ckpt.tmp")
        trainer.save_checkpoint(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        module.archive.remove_unused_segments()
        save_agent(self._run_dir / AGENT_FOLDER, module.network, self._describe(module))
        self._saved_agent_steps = module.agent_steps

    def _describe(self, module: DQN) -> dict[str, Any]:
        return {"format": FORMAT, **self._description, "agent_steps": module.agent_steps, "updates": module.num_updates}
