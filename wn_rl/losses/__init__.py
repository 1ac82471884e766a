"""Losses and returns: pure functions of tensors; one loss and one priority per transition."""
