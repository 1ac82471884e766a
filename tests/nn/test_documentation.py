"""What docs/nn.md shows is what ``wn_rl.nn`` does."""

import re
from pathlib import Path

import torch

import wn_rl.nn

PAGE = (Path(__file__).parents[2] / "docs" / "nn.md").read_text(encoding="utf-8")


def test_the_example_runs_and_its_copies_agree():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(example, names)
    network, images = names["network"], names["images"]
    torch.testing.assert_close(names["plain"](images), network(images), rtol=1e-4, atol=1e-5)
    assert {name.rpartition(".")[2] for name, _ in network.named_parameters()} == {"v", "g", "bias"}


def test_every_public_name_is_on_the_page_and_exists():
    families = {"WeightNormConv2d", "WeightNormConv3d", "WeightNormConvTranspose2d", "WeightNormConvTranspose3d"}
    families |= {"WeightNormGRUCell", "WeightNormRNNCell"}
    inner = {"lent_weights", "project_weights", "scale_", "Residual"}  # for whoever writes an algorithm
    missing = {name for name in wn_rl.nn.__all__ if name not in PAGE} - families - inner
    assert not missing
    assert all(hasattr(wn_rl.nn, name) for name in wn_rl.nn.__all__)
