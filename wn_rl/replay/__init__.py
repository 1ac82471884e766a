"""The replay: how agent steps become n-step transitions, are stored once, sampled, and written to disk."""
