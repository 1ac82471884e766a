"""Every test runs with jaxtyping's shapes checked by beartype; warnings are errors (pyproject.toml)."""

from hypothesis import settings
from jaxtyping import install_import_hook

from tests import shape_checks  # the hook finds it as an attribute of the package

install_import_hook("wn_rl", f"{shape_checks.__name__}.check")

settings.register_profile("wn_rl", deadline=None)  # a machine that is busy is no failure
settings.load_profile("wn_rl")
