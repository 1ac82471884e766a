"""What a conversion keeps of a layer that gives way, and what it says of those that it leaves."""

import sys
import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import plain, to_torch_parametrization, weight_normalize
from wn_rl.nn.folding import make_folded
from wn_rl.nn.initialization import initialize_from_data
from wn_rl.nn.weight_norm_layers import WeightNormLinear
from wn_rl.nn.weight_norm_recurrent import WeightNormLSTM


class ScaledLinear(nn.Linear):
    """A subclass that uses its weight in a way of its own."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * 2, self.bias)


def names_of_frozen(module):
    return {name for name, parameter in module.named_parameters() if not parameter.requires_grad}


LAYERS = [nn.Linear(3, 2), nn.Conv2d(3, 2, 2), nn.ConvTranspose1d(3, 2, 2), nn.LSTM(3, 2), nn.GRUCell(3, 2)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("g_mode", ["free", "exponential"])
@pytest.mark.parametrize("learns", [True, False])
def test_a_frozen_layer_stays_frozen_whole_on_the_way_there_and_back(layer, g_mode, learns):
    layer.requires_grad_(False)
    with torch.set_grad_enabled(learns):
        normalized = weight_normalize(layer, g_mode=g_mode)
        ways = (normalized, weight_normalize(normalized), to_torch_parametrization(normalized), plain(normalized))
    for one in (*ways, weight_normalize(ways[2])):
        assert names_of_frozen(one) == {name for name, _ in one.named_parameters()}
    layer.requires_grad_(True)
    assert not names_of_frozen(weight_normalize(layer, g_mode=g_mode))


def test_v_and_g_are_frozen_each_by_itself():
    normalized = weight_normalize(nn.Linear(3, 2))
    normalized.g.requires_grad_(False)
    assert names_of_frozen(weight_normalize(normalized, g_mode="exponential")) == {"s"}
    theirs = to_torch_parametrization(normalized)
    assert names_of_frozen(theirs) == {"parametrizations.weight.original0"}
    assert names_of_frozen(weight_normalize(theirs)) == {"g"}


def test_a_fixed_g_is_not_trained_by_pytorchs_parametrization_either():
    fixed = weight_normalize(nn.Linear(3, 2), g_mode="fixed")
    assert names_of_frozen(to_torch_parametrization(fixed)) == {"parametrizations.weight.original0"}
    assert not names_of_frozen(weight_normalize(fixed))


def test_hooks_and_attributes_of_a_layer_are_kept_in_the_copy_alone():
    layer = nn.Linear(3, 2)
    layer.nickname = "first"
    layer.register_forward_hook(lambda module, inputs, y: y + 100)
    layer.register_forward_pre_hook(lambda module, args, kwargs: ((args[0] * 2,), kwargs), with_kwargs=True)
    gradients = []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: gradients.append(grad_output))
    x = torch.randn(4, 3, requires_grad=True)
    normalized = weight_normalize(layer)
    for one in (normalized, plain(normalized), to_torch_parametrization(normalized), make_folded(normalized)):
        torch.testing.assert_close(one(x), layer(x))
    normalized(x).sum().backward()
    assert len(gradients) == 1
    assert plain(normalized).nickname == normalized.nickname == "first"


def test_every_layer_with_a_matrix_that_is_left_as_it_is_is_named_with_the_reason():
    pruned = nn.Linear(3, 3)
    prune.random_unstructured(pruned, "weight", amount=2)
    pruned.weight = pruned.weight.detach()  # PyTorch copies no layer whose weight has a graph
    network = nn.ModuleDict(
        {
            "words": nn.Embedding(5, 3),
            "pairs": nn.Bilinear(3, 3, 2),
            "attention": nn.MultiheadAttention(4, 2),
            "scaled": ScaledLinear(3, 2),
            "lazy": nn.LazyLinear(2),
            "spectral": parametrizations.spectral_norm(nn.Linear(3, 2)),
            "pruned": pruned,
            "norm": nn.LayerNorm((3, 2)),
            "linear": nn.Linear(3, 2),
            "memory": nn.RNN(3, 2),
        }
    )
    with pytest.raises(ConfigurationError, match="leave out strict") as caught:
        weight_normalize(network, strict=True)
    message = str(caught.value)
    for name in ("words", "pairs", "attention", "attention.out_proj", "scaled", "lazy", "spectral", "pruned"):
        assert repr(name) in message
    for name in ("norm", "linear", "memory", "spectral.parametrizations.weight"):
        assert repr(name) not in message
    assert "'scaled' (ScaledLinear) is a subclass of Linear" in message
    with pytest.warns(UserWarning, match="leaves layers as they are: 'words' \\(Embedding\\)"):
        normalized = weight_normalize(network)
    assert type(normalized["linear"]) is WeightNormLinear
    assert type(normalized["scaled"]) is ScaledLinear


def test_nothing_is_said_where_every_matrix_is_normalized():
    layers = [nn.Linear(3, 2), nn.Conv1d(3, 2, 1), nn.BatchNorm1d(2), nn.GRU(3, 2), nn.LSTMCell(3, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weight_normalize(weight_normalize(nn.ModuleList(layers), strict=True), strict=True)


def test_a_layer_that_holds_more_or_does_something_else_is_left():
    masked, own = nn.Linear(3, 2), nn.Linear(3, 2)
    masked.register_buffer("mask", torch.ones(2, 3))
    own.forward = lambda x: x
    for layer, reason in ((masked, "holds mask too"), (own, "a forward pass of its own")):
        with pytest.warns(UserWarning, match=reason):
            assert type(weight_normalize(layer)) is nn.Linear


def make_doubled():
    layer = WeightNormLinear(4, 2)
    layer.register_buffer("factor", torch.tensor(2.0))
    layer.forward = lambda x: layer.factor * WeightNormLinear.forward(layer, x)
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        nn.MultiheadAttention(4, 2), ScaledLinear(4, 2), nn.Sequential(ScaledLinear(4, 2)),
        make_doubled(),
    ],
)  # fmt: skip
def test_subclasses_are_folded_and_initialized_as_what_they_are(layer):
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    is_attention = isinstance(layer, nn.MultiheadAttention)
    call = (lambda module: module(x, x, x)[0]) if is_attention else (lambda module: module(x))
    torch.testing.assert_close(call(make_folded(layer)), call(layer.eval()))
    if not is_attention:
        initialize_from_data(layer, x)
        torch.testing.assert_close(call(make_folded(layer)), call(layer))


def test_threads_apply_one_lstm_at_the_same_time():
    layer = WeightNormLSTM(3, 5)
    x = torch.randn(6, 2, 3)
    expected, failures = layer(x)[0].detach(), []

    def apply():
        try:
            for _ in range(60):
                torch.testing.assert_close(layer(x)[0], expected)
        except Exception as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they do meet
    threads = [threading.Thread(target=apply) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert not failures
