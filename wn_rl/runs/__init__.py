"""One run on disk: its files, agents, checkpoints, metrics and evaluations, and what a score is worth."""
