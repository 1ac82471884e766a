"""Names that saved runs and users know from before, and what stands there now."""

from typing import Any

from wn_rl.networks.renamed_heads import rename_head

RENAMED_TARGETS = {"wn_rl.callbacks.tensorboard.RunTensorBoard": "wn_rl.viewing.tensorboard.RunTensorBoard"}
"""Classes that saved runs name, and where they are now."""

RENAMED_SETTINGS = {"initial_q_deviation": "initial_q_std"}
"""Settings at the top of a configuration."""


def rename_settings(values: dict[str, Any]) -> None:
    """Give the settings of a saved run their names of now."""
    for old, new in RENAMED_SETTINGS.items():
        if old in values and new not in values:
            values[new] = values.pop(old)
    network = values.get("network")
    if isinstance(network, dict):
        values["network"] = rename_head(network)
    logger = values.get("logger")
    if isinstance(logger, dict):
        target = logger.get("_target_")
        if isinstance(target, str) and target in RENAMED_TARGETS:
            logger["_target_"] = RENAMED_TARGETS[target]
