"""Environments under one contract, the rules of play, and stored games played again."""
