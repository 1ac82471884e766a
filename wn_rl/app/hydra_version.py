"""What differs between Hydra 1.3 and 1.4, both of which compose configs/."""

from typing import Any

import hydra

_IS_OLD = hydra.__version__.startswith("1.3.")

VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if _IS_OLD else {}
"""For Hydra's entrances: 1.3 warns where it is missing, 1.4 where it is given."""

_CALLED = ["wn_rl.app.sweeps.SweepCallback", "hydra_plugins.*", "optuna.samplers.*"]
"""What Hydra itself may call of what a configuration names: ours, its launchers and sweepers, and Optuna's samplers."""

MAIN: dict[str, Any] = VERSION_BASE if _IS_OLD else {"execution_whitelist": _CALLED}
"""For hydra.main."""
