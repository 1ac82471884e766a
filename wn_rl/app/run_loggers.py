"""Where a run's numbers go beside metrics.csv: the logger that its configuration names, and what its server gets."""

from pathlib import Path

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from wn_rl.app import build
from wn_rl.callbacks.artifact_tracking import ArtifactTracking
from wn_rl.errors import ConfigurationError
from wn_rl.interop.trackers import TRACKERS, Tracker


def make_loggers(config: DictConfig, *, keep_until_agent_steps: int | None) -> list[Logger]:
    """The one that the configuration names, if it names one, told of all settings.

    Raises:
        ConfigurationError: its package is missing, or its server cannot be reached.
    """
    if config.logger is None or "_target_" not in config.logger:
        return []
    tracker = _find_tracker(config)
    if tracker is not None:
        return [_make_tracked_logger(config, tracker)]
    logger = build.make_logger(config, keep_until_agent_steps=keep_until_agent_steps)
    logger.log_hyperparams(build.as_dict(config))
    return [logger]


def make_tracking(config: DictConfig, loggers: list[Logger]) -> list[Callback]:
    """What sends the agent to the server of the logger that the configuration names, after all else is done."""
    tracker = _find_tracker(config)
    if tracker is None:
        return []
    return [ArtifactTracking(run_dir=Path(config.run_dir), tracker=tracker, logger=logger) for logger in loggers]


def _find_tracker(config: DictConfig) -> Tracker | None:
    return None if config.logger is None else TRACKERS.get(str(config.logger.get("_target_")))


def _make_tracked_logger(config: DictConfig, tracker: Tracker) -> Logger:
    """A logger that goes on with what this run is on its server, unless the user names a run there; it is connected."""
    run_dir = Path(config.run_dir)
    run_id = tracker.read_id(run_dir) if config.logger.get(tracker.id_key) is None else None
    known = {} if run_id is None else {tracker.id_key: run_id}
    chosen = tracker.choose_settings(build.as_dict(config.logger))
    logger = build.make_logger(config, keep_until_agent_steps=None, **chosen, **known)
    try:
        if run_id is None:  # they stay those that it began with
            logger.log_hyperparams(build.as_dict(config))
        own_id = str(logger.version)
    except Exception as error:  # whatever the server's client raises
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigurationError(
            f"{tracker.name} cannot be logged to: {reason}; mend that, or take logger=tensorboard"
        ) from error
    tracker.keep_id(run_dir, own_id)
    return logger
