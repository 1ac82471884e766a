"""Heads that runs and agents know from before, and what they are now; without PyTorch, for the command line."""

from typing import Any

RENAMED_HEADS = {
    "dueling": {"head": "linear", "dueling": True},
    "dueling_quantile": {"head": "quantile", "dueling": True},
}


def rename_head(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a network, of a run or an agent, with the names of now."""
    head = values.get("head")
    return {**values, **RENAMED_HEADS[head]} if isinstance(head, str) and head in RENAMED_HEADS else values
