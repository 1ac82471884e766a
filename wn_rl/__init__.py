"""Deep Q-networks on Atari with weight-normalized networks: train, evaluate, watch."""

__version__ = "0.1.0"
