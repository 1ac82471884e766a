"""Weight decay reaches plain weights and nothing else."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from torch.nn.utils import parametrizations

from wn_rl.app.build import make_optimizer
from wn_rl.app.configured import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.errors import ConfigurationError
from wn_rl.learning.optimizers import FusedRAdam
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.nn.weight_norm_recurrent import WeightNormLSTM


def names_by_decay(network, weight_decay=0.1):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = make_parameter_groups(network, weight_decay=weight_decay)
    return {group["weight_decay"]: {names[id(parameter)] for parameter in group["params"]} for group in groups}


def make_plain():
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(12, 4))


def test_plain_weights_decay_and_biases_and_gains_do_not():
    assert names_by_decay(make_plain()) == {
        0.1: {"0.weight", "3.weight"},
        0.0: {"0.bias", "1.weight", "1.bias", "3.bias"},
    }


@pytest.mark.parametrize("g_mode", ["free", "fixed", "exponential"])
def test_no_parameter_of_a_weight_normalized_layer_decays(g_mode):
    assert set(names_by_decay(weight_normalize(make_plain(), g_mode=g_mode))) == {0.0}


def test_nothing_of_pytorchs_weight_norm_or_of_recurrent_layers_decays():
    assert set(names_by_decay(parametrizations.weight_norm(nn.Linear(3, 2)))) == {0.0}
    assert set(names_by_decay(WeightNormLSTM(3, 2))) == {0.0}


def test_every_trained_parameter_is_in_exactly_one_group_and_frozen_ones_in_none():
    network = nn.Sequential(make_plain(), weight_normalize(nn.Linear(4, 2)))
    network[0][0].weight.requires_grad_(False)
    groups = make_parameter_groups(network, weight_decay=0.1)
    found = [id(parameter) for group in groups for parameter in group["params"]]
    expected = [id(parameter) for parameter in network.parameters() if parameter.requires_grad]
    assert sorted(found) == sorted(expected)


def test_decoupled_decay_without_gradients_shrinks_the_plain_weight_alone():
    network = nn.Sequential(nn.Linear(3, 4), weight_normalize(nn.Linear(4, 2)))
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(make_parameter_groups(network, weight_decay=0.5), lr=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        factor = 1 - 0.1 * 0.5 if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_negative_decay_is_refused():
    with pytest.raises(ConfigurationError, match="negative"):
        make_parameter_groups(make_plain(), weight_decay=-0.1)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("adamax", torch.optim.Adamax),
        ("radam", FusedRAdam),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_one_word_gives_an_optimizer_that_decays_plain_weights_alone(word, kind):
    with initialize_config_dir(str(CONFIG_DIRECTORY), **VERSION_BASE):
        config = compose("train", ["game=Pong", f"optimizer={word}", "weight_decay=0.5", "learning_rate=0.1"])
    network = nn.Sequential(nn.Linear(3, 4), weight_normalize(nn.Linear(4, 2)))
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = make_optimizer(config, network)
    assert type(optimizer) is kind
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    changed = {name for name, parameter in network.named_parameters() if not parameter.equal(before[name])}
    assert changed == {"0.weight"}
