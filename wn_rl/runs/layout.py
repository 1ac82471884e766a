"""The files of a run folder, and of an agent's: the only place that knows their names."""

CONFIG_FILE = "config.yaml"
PROVENANCE_FILE = "provenance.json"
METRICS_FILE = "metrics.csv"
EVALUATIONS_FILE = "evaluations.jsonl"
EPISODES_FOLDER = "episodes"
VIDEOS_FOLDER = "videos"
AGENT_FOLDER = "agent"
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
