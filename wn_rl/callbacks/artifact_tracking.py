"""When training ends, or is stopped, the server that keeps track of the run gets its agent and a video."""

from pathlib import Path
from typing import Any

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.interop.portable import find_video
from wn_rl.interop.trackers import Tracker
from wn_rl.runs.layout import AGENT_FOLDER, DESCRIPTION_FILE


class ArtifactTracking(RunCallback):
    """Sends what there is at the end; a server that cannot be reached is told in a line, and the run has ended well.

    Args:
        run_dir: the run folder.
        tracker: what is said to that kind of server.
        logger: Lightning's, which is connected with it.
    """

    def __init__(self, *, run_dir: Path, tracker: Tracker, logger: Any) -> None:
        self._run_dir, self._tracker, self._logger = run_dir, tracker, logger

    def on_run_end(self) -> None:
        """The run is over, or was stopped, and all that it writes is there."""
        if not (self._run_dir / AGENT_FOLDER / DESCRIPTION_FILE).is_file():
            return
        try:
            self._tracker.log_artifacts(
                self._logger, self._run_dir, agent_steps=self.algorithm.agent_steps, video=find_video(self._run_dir)
            )
        except Exception as error:  # whatever the server's client raises
            self._tell("did not get the agent", error)

    def close(self) -> None:
        """Another run of this process begins one of its own there."""
        try:
            self._tracker.finish()
        except Exception as error:
            self._tell("did not end the run", error)

    def _tell(self, what: str, error: Exception) -> None:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        print(f"{self._tracker.name} {what}: {reason}; the agent lies in {self._run_dir / AGENT_FOLDER}")
