"""Every test runs with jaxtyping's shapes checked by beartype; warnings are errors (pyproject.toml)."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when PyTorch is first imported: the workers share the cores

from hypothesis import settings
from jaxtyping import install_import_hook

from tests import shape_checks  # the hook finds it as an attribute of the package

install_import_hook("wn_rl", f"{shape_checks.__name__}.check")

settings.register_profile("wn_rl", deadline=None)  # a machine that is busy is no failure
settings.load_profile("wn_rl")
