"""Servers that keep track of runs, W&B and MLflow: one run there for one run here, however often it is gone on with.

Lightning's own loggers send the numbers. What they leave out is here: the id of the run there, which is kept in
``tracker.json`` of the run folder, and what they would take of Lightning's checkpoints, which this program does not
write: the agent and a video of its game, at the end.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wn_rl.interop.extras import import_extra
from wn_rl.runs.layout import AGENT_FOLDER, TRACKER_FILE, VIDEOS_FOLDER
from wn_rl.system.files import read_limited, write_whole

_DATABASE = "sqlite:///"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Tracker(ABC):
    """What one kind of server is told beside the numbers.

    Attributes:
        name: of the server's program.
        id_key: what Lightning's logger calls the id of a run.
    """

    name: str
    id_key: str

    def read_id(self, run_dir: Path) -> str | None:
        """The id that the run of this folder has there; None where it has none yet, or the file is damaged."""
        try:
            content = json.loads(read_limited(run_dir / TRACKER_FILE, 2**16, follow_links=False))
            run_id = content[self.name]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return run_id if isinstance(run_id, str) and _ID.fullmatch(run_id) else None

    def keep_id(self, run_dir: Path, run_id: str) -> None:
        """Write down which run on the server this one is.

        Raises:
            OSError: it cannot be written.
        """
        write_whole(run_dir / TRACKER_FILE, (json.dumps({self.name: run_id}) + "\n").encode())

    def choose_settings(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """What Lightning's logger is told besides ``settings``, those of the configuration: nothing, mostly."""
        return {}

    @abstractmethod
    def log_artifacts(self, logger: Any, run_dir: Path, *, agent_steps: int, video: Path | None) -> None:
        """Send the agent of the run, and a video if there is one; whatever the server's client raises."""

    @abstractmethod
    def finish(self) -> None:
        """Let go of the run there, so that another one of this process begins its own."""


class WandbTracker(Tracker):
    """Weights & Biases: the agent is an artifact of type model, named after the run's id, a version for each end."""

    name, id_key = "wandb", "id"

    def log_artifacts(self, logger: Any, run_dir: Path, *, agent_steps: int, video: Path | None) -> None:
        wandb = import_extra("wandb", extra="wandb")
        artifact = wandb.Artifact(f"agent-{logger.version}", type="model", metadata={"agent_steps": agent_steps})
        artifact.add_dir(str(run_dir / AGENT_FOLDER))
        logger.experiment.log_artifact(artifact)
        if video is not None:
            logger.log_video("videos/newest", [str(video)], step=agent_steps, format=["mp4"])

    def finish(self) -> None:
        import_extra("wandb", extra="wandb").finish()


class MLflowTracker(Tracker):
    """MLflow: the agent is the run's artifact folder ``agent``, videos lie in ``videos``."""

    name, id_key = "mlflow", "run_id"

    def choose_settings(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """Artifacts lie beside a database of one's own: MLflow would put them into the current folder."""
        uri = str(settings.get("tracking_uri"))
        if not uri.startswith(_DATABASE) or settings.get("artifact_location") is not None:
            return {}
        return {"artifact_location": (Path(uri.removeprefix(_DATABASE)).resolve().parent / "mlruns").as_uri()}

    def log_artifacts(self, logger: Any, run_dir: Path, *, agent_steps: int, video: Path | None) -> None:
        logger.experiment.log_artifacts(logger.run_id, str(run_dir / AGENT_FOLDER), AGENT_FOLDER)
        if video is not None:
            logger.experiment.log_artifact(logger.run_id, str(video), VIDEOS_FOLDER)

    def finish(self) -> None:
        """Nothing is held: each logger has a client of its own."""


TRACKERS: dict[str, Tracker] = {
    "lightning.pytorch.loggers.WandbLogger": WandbTracker(),
    "lightning.pytorch.loggers.MLFlowLogger": MLflowTracker(),
}
"""By the class of Lightning that a configuration names."""
