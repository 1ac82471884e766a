"""Every test runs with jaxtyping's shapes checked by beartype; warnings are errors (pyproject.toml)."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when PyTorch is first imported: the workers share the cores

import pytest
from hypothesis import settings

from tests.helpers import shape_checks  # the hook finds it as an attribute of the package

shape_checks.install()

settings.register_profile("wn_rl", deadline=None)  # a machine that is busy is no failure
settings.load_profile("wn_rl")


@pytest.fixture(autouse=True)
def checked_shapes() -> None:
    shape_checks.begin_test()


@pytest.fixture(scope="module")
def finished_toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy run that came to its end."""
    from tests.helpers.killed_runs import make_run  # after the hook, and for those alone who ask

    folder = tmp_path_factory.mktemp("finished")
    assert make_run(folder).train()
    return folder
