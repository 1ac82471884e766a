"""What happens around training: evaluation, checkpoints, videos, logs and the terminal.

Callbacks read the run; they never touch parameters, replay, training environments or training's generators,
so that a run with them and one without learn the same, byte for byte.
"""
