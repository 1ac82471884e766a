"""How long does a checkpoint stop training, and how much of the disk does it take?

    python -m scripts.benchmarks.bench_checkpoint  a replay of 1,000,000 agent steps of Breakout
    python -m scripts.benchmarks.bench_checkpoint --agent-steps 100000 --game Pong

Fills the replay of the default configuration by random play, has its frames written in the background as training has,
and then writes a checkpoint as training does. Everything goes to a temporary folder (``--folder`` names another disk).
Prints what a run would see: how long training waits for a checkpoint at the end of an iteration, for the first and the
next one, and the bytes of all that is on disk then.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.algorithms.dqn import DQN
from wn_rl.app import training as run
from wn_rl.app.composition import compose_settings
from wn_rl.callbacks.checkpoint import RunCheckpoint


class Stopwatch(Callback):
    """After the first chunk of training, which gives the optimizer its state, fills the replay and saves twice."""

    def __init__(self, saving: RunCheckpoint, *, agent_steps: int, more: int) -> None:
        self._saving, self._agent_steps, self._more = saving, agent_steps, more
        self.stops_s: list[float] = []
        self.fill_s = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self._fill(pl_module, self._agent_steps)
        self._save(trainer, pl_module)
        self._fill(pl_module, self._more)
        self._save(trainer, pl_module)
        trainer.should_stop = True

    def _fill(self, module: DQN, agent_steps: int) -> None:
        began = time.perf_counter()
        end = module.agent_steps + agent_steps
        while module.agent_steps < end:
            module.collector.play_random_round()
            module.archive.write_new_frames()
        self.fill_s += time.perf_counter() - began

    def _save(self, trainer: lightning.Trainer, module: DQN) -> None:
        began = time.perf_counter()
        self._saving.save(trainer, module)
        self.stops_s.append(time.perf_counter() - began)


def count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="Breakout")
    parser.add_argument("--agent-steps", type=int, default=1_000_000, help="in the replay; also its capacity")
    parser.add_argument("--more", type=int, default=10_000, help="agent steps between the two checkpoints")
    parser.add_argument("--folder", type=Path, default=None, help="on whose disk to write")
    arguments = parser.parse_args()
    temporary = Path(tempfile.mkdtemp(dir=arguments.folder))
    folder = temporary / "run"
    try:
        # The warm-up is short: the stopwatch plays the rest, while the archive is written to.
        overrides = [
            f"game={arguments.game}", f"run_dir={folder}", "logger=none", "progress=false", "evaluation.episodes=0",
            f"replay.capacity={arguments.agent_steps}", "warmup_agent_steps=1000", "chunk_agent_steps=100",
        ]  # fmt: skip
        config, _ = compose_settings("train", overrides)
        made = run.start_run(config, preset=None)
        stopwatch = Stopwatch(made.saving, agent_steps=arguments.agent_steps, more=arguments.more)
        made.trainer.callbacks.insert(0, stopwatch)
        made.trainer.limit_train_batches = 1
        made.trainer.fit(made.algorithm)
        first, second = stopwatch.stops_s
        num_checkpoints = len(list((folder / "checkpoints").iterdir()))
        megabytes = [count_bytes(path) / 1e6 for path in (folder, folder / "replay", folder / "checkpoints")]
        print(f"{arguments.game}, {arguments.agent_steps:,} agent steps, played in {stopwatch.fill_s:.0f} s")
        print(f"training stops for {first:.2f} s; {arguments.more:,} agent steps later for {second:.2f} s")
        print("on disk: {:.1f} MB, of which frames {:.1f} MB and".format(*megabytes), end="")
        print(f" {num_checkpoints} checkpoints {megabytes[2]:.1f} MB")
        made.close()
    finally:
        shutil.rmtree(temporary)


if __name__ == "__main__":
    main()
