"""Where agent steps wait to be learned from: the replay, its n-step transitions, samplers and files; and rollouts."""
