"""The replay: how agent steps become n-step transitions, are stored once, sampled, and written to disk.

This room knows no game and no network: frames, actions and rewards are numbers to it.
"""
