"""Algorithms: what is learned and from which data, each told in one file in the order in which it happens."""
