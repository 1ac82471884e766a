"""How learning is done: gradients, schedules, metrics, and the numbers that a user sets."""
