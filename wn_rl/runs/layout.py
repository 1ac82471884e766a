"""The files of a run folder, and of an agent's: the only place that knows their names."""

from pathlib import Path

CONFIG_FILE = "config.yaml"
EXPERIMENT_FILE = "experiment.yaml"
"""In the place of CONFIG_FILE, of a run of one of the paper's other experiments."""
PICTURES_FOLDER = "pictures"
PROVENANCE_FILE = "provenance.json"
METRICS_FILE = "metrics.csv"
EVALUATIONS_FILE = "evaluations.jsonl"
EPISODES_FOLDER = "episodes"
VIDEOS_FOLDER = "videos"
AGENT_FOLDER = "agent"
INITIAL_AGENT_FOLDER = "initial_agent"
CHECKPOINT_FOLDER = "checkpoints"
REPLAY_FOLDER = "replay"
TENSORBOARD_FOLDER = "tensorboard"
PAGE_FILE = "index.html"
ERROR_FILE = "error.log"
FAILURE_FILE = "failure.txt"
LOCK_FILE = ".lock"
TRACKER_FILE = "tracker.json"

# in CHECKPOINT_FOLDER; runs/checkpoint_folder.py says in which order they come and go
LAST, NEXT = "last.ckpt", "next.ckpt"
LAST_CHECKPOINT = f"{CHECKPOINT_FOLDER}/{LAST}"
DAMAGED_SUFFIX = ".damaged"

# in AGENT_FOLDER, and in a published agent's
WEIGHTS_FILE = "weights.safetensors"
NEXT_WEIGHTS_FILE = "weights.safetensors.next"
DESCRIPTION_FILE = "agent.json"


def find_replay_folder(run_dir: Path, rank: int) -> Path:
    """Where one of a run's learners keeps its replay: beside that of the first in ``replay_rank1`` and so on."""
    return run_dir / (f"{REPLAY_FOLDER}_rank{rank}" if rank else REPLAY_FOLDER)
