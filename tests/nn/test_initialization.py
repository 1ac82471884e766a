"""Data-dependent initialization: every pre-activation has mean 0 and variance 1, in every network alike."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence

from tests.helpers.networks import ALL_NORMALIZERS, EVERY_KIND_OF_HEAD, draw_frames, make_generator, make_network
from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.initialization import initialize_from_data
from wn_rl.nn.normalizers import project_weights
from wn_rl.nn.weight_norm_recurrent import named_weights

# Layer norm divides by statistics of its own, which come after the initialized layers.
WITHOUT_LAYER_NORM = [name for name in ALL_NORMALIZERS if name != "layer_norm"]


def affine_outputs(network, observations):
    """The inputs of all ReLUs, and the Q-values, in evaluation mode."""
    outputs = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0].detach().clone()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    q_values = network.eval()(observations).q_values
    for hook in hooks:
        hook.remove()
    return [*outputs, q_values.detach()]


def initialized(normalizer, **options):
    network = make_network(normalizer, **options)
    initialize_from_data(network, draw_frames(), generator=make_generator(2))
    return network


@pytest.mark.parametrize("head", EVERY_KIND_OF_HEAD)
@pytest.mark.parametrize("normalizer", [name for name in WITHOUT_LAYER_NORM if name != "spectral_norm"])
def test_every_unit_has_mean_zero_and_variance_one_before_its_relu(normalizer, head):
    network = initialized(normalizer, head=head)
    *pre_activations, q_values = affine_outputs(network, draw_frames())
    assert len(pre_activations) == 4 + ("dueling" in head) + ("implicit" in head)
    for t in [*pre_activations, q_values] if head == "linear" else pre_activations:
        units = t.movedim(1, 0).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), rtol=0, atol=1e-4)
        torch.testing.assert_close(units.std(1, correction=0), torch.ones(len(units)), rtol=1e-3, atol=1e-3)


def test_spectral_norm_gets_mean_zero_and_keeps_the_scale_that_it_fixes():
    *pre_activations, _ = affine_outputs(initialized("spectral_norm"), draw_frames())
    for t in pre_activations:
        units = t.movedim(1, 0).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalizer", [name for name in WITHOUT_LAYER_NORM if name != "spectral_norm"])
def test_networks_that_differ_in_their_normalizer_alone_start_from_the_same_function(normalizer):
    torch.testing.assert_close(
        initialized(normalizer).eval()(draw_frames(seed=5)).q_values,
        initialized("none").eval()(draw_frames(seed=5)).q_values,
        rtol=1e-3,
        atol=1e-3,
    )


def test_g_and_bias_are_those_of_equation_6_for_one_layer():
    layer = weight_normalize(nn.Linear(4, 3))
    x = torch.randn(50, 4, generator=make_generator(3)) * 5 + 2
    initialize_from_data(layer, x, generator=make_generator(4))
    v = 0.05 * torch.randn(3, 4, generator=make_generator(4))
    t = torch.stack([(x @ row) / row.pow(2).sum().sqrt() for row in v], dim=1)
    torch.testing.assert_close(layer.v.detach(), v)
    torch.testing.assert_close(layer.g.detach(), 1 / t.std(0, correction=0))
    torch.testing.assert_close(layer.bias.detach(), -t.mean(0) / t.std(0, correction=0))


def test_v_has_a_std_of_one_twentieth():
    network = initialized("weight_norm", hidden_units=400)
    assert abs(network.torso.layers[11].v.std().item() - 0.05) < 5e-4


def test_later_layers_see_the_normalized_outputs_of_earlier_ones():
    network = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4))
    x = 100 + 10 * torch.randn(40, 3, generator=make_generator(5))
    initialize_from_data(network, x, generator=make_generator(6))
    second_inputs = network[:2](x)
    assert second_inputs.std() < 2  # 10 times that if the first layer had not been initialized before
    torch.testing.assert_close(network(x).std(0, correction=0), torch.ones(4))


@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "batch_norm"])
def test_same_generator_gives_the_same_network_whatever_the_global_one_is(normalizer):
    torch.manual_seed(1)
    first = initialized(normalizer, seed=0)
    torch.manual_seed(2)
    torch.rand(3)
    second = initialized(normalizer, seed=7)  # other parameters before
    for name, tensor in first.state_dict().items():
        assert tensor.equal(second.state_dict()[name]), name


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_constant_units_get_finite_values(normalizer):
    network = make_network(normalizer)
    black = torch.zeros(4, 3, 37, 44, dtype=torch.uint8)
    initialize_from_data(network, black, generator=make_generator(2))
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    assert network.eval()(black).q_values.isfinite().all()
    assert network(draw_frames()).q_values.abs().max() < 1e4


def test_unit_that_is_constant_keeps_length_one():
    layer = weight_normalize(nn.Linear(3, 2))
    initialize_from_data(layer, torch.full((8, 3), 7.0), generator=make_generator(0))
    torch.testing.assert_close(layer.g.detach(), torch.ones(2))
    torch.testing.assert_close(layer(torch.full((1, 3), 7.0)), torch.zeros(1, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose1d(4, 6, 3, groups=2, stride=2), nn.Conv1d(4, 6, 2, bias=False)],
)
def test_plain_and_weight_normalized_layers_of_any_kind_start_alike(layer):
    x = torch.randn(6, 4, 9, generator=make_generator(1)) + 1
    normalized = weight_normalize(layer)
    for one in (layer, normalized):
        initialize_from_data(one, x, generator=make_generator(2))
    torch.testing.assert_close(normalized(x), layer(x), rtol=1e-4, atol=1e-5)
    units = layer(x).movedim(1, 0).flatten(1)
    torch.testing.assert_close(units.std(1, correction=0), torch.ones(6), rtol=1e-4, atol=1e-4)


def test_projections_remember_the_norms_that_initialization_gave():
    network = initialized("projection")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    project_weights(network)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


def test_modes_hooks_and_gradients_are_left_as_they_were():
    network = make_network("batch_norm").train()
    network.head.eval()
    initialize_from_data(network, draw_frames(), generator=make_generator(2))
    assert network.torso.training
    assert not network.head.training
    assert all(not module._forward_pre_hooks for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_autocast_does_not_coarsen_the_statistics():
    network = make_network("weight_norm")
    with torch.autocast("cpu", torch.bfloat16):
        initialize_from_data(network, draw_frames(), generator=make_generator(2))
    for name, tensor in initialized("weight_norm").state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor)


def test_a_single_observation_is_refused():
    with pytest.raises(ConfigurationError, match="at least 2 examples"):
        initialize_from_data(make_network("none"), draw_frames(1))


def test_pytorchs_weight_norm_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="weight_normalize"):
        initialize_from_data(parametrizations.weight_norm(nn.Linear(3, 2)), torch.randn(5, 3))


RECURRENT = [
    (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    (nn.LSTM, {"batch_first": True, "proj_size": 2}),
    (nn.LSTM, {"bias": False}),
    (nn.GRU, {"num_layers": 3, "batch_first": True}),
    (nn.GRU, {"bidirectional": True}),
]


def draw_sequences(num_examples=40, num_steps=7):
    """[B, T, 3], neighbours in time alike, with means and scales of their own."""
    noise = torch.randn(num_examples, num_steps, 3, generator=make_generator(8)).cumsum(1)
    return noise * torch.tensor([0.1, 1.0, 20.0]) + torch.tensor([5.0, 0.0, -3.0])


def step_by_hand(kind, state, x, weights, suffix):
    """One step of an LSTM or GRU by the equations of PyTorch's documentation: the state h (and c) after it."""
    ih, hh = weights[f"weight_ih{suffix}"], weights[f"weight_hh{suffix}"]
    of_x = x @ ih.T + weights.get(f"bias_ih{suffix}", torch.zeros(len(ih)))
    of_h = state[0] @ hh.T + weights.get(f"bias_hh{suffix}", torch.zeros(len(hh)))
    if kind is nn.GRU:
        (xr, xz, xn), (hr, hz, hn) = of_x.chunk(3, 1), of_h.chunk(3, 1)
        z = (xz + hz).sigmoid()
        return ((1 - z) * (xn + (xr + hr).sigmoid() * hn).tanh() + z * state[0],)
    i, f, g, o = (of_x + of_h).chunk(4, 1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h @ weights[f"weight_hr{suffix}"].T if f"weight_hr{suffix}" in weights else h), c


def run_by_hand(kind, x, weights, suffix, sizes):
    """All h of one direction, [B, T, H]: h starts from zeros, and goes back in time in the direction "_reverse"."""
    order = range(x.shape[1])[:: -1 if suffix.endswith("reverse") else 1]
    state, outputs = tuple(torch.zeros(len(x), size) for size in sizes), {}
    for t in order:
        state = step_by_hand(kind, state, x[:, t], weights, suffix)
        outputs[t] = state[0]
    return torch.stack([outputs[t] for t in range(x.shape[1])], dim=1)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("normalize", [weight_normalize, lambda layer: layer])
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_what_the_inputs_bring_to_every_gate_has_mean_zero_and_std_one(kind, options, normalize):
    layer = normalize(kind(3, 5, **options))
    x = draw_sequences()
    initialize_from_data(layer, x if options.get("batch_first") else x.transpose(0, 1), generator=make_generator(4))
    weights = {name: tensor.detach() for name, tensor in named_weights(layer).items()}
    sizes = [options.get("proj_size") or 5] + [5] * (kind is nn.LSTM)
    for level in range(layer.num_layers):
        suffixes = [f"_l{level}", f"_l{level}_reverse"][: 1 + layer.bidirectional]
        for suffix in suffixes:
            a = (x @ weights[f"weight_ih{suffix}"].T).flatten(0, 1)
            if layer.bias:
                a = a + weights[f"bias_ih{suffix}"] + weights[f"bias_hh{suffix}"]
                torch.testing.assert_close(a.mean(0), torch.zeros(a.shape[1]), rtol=0, atol=1e-4)
            torch.testing.assert_close(a.std(0, correction=0), torch.ones(a.shape[1]), rtol=1e-4, atol=1e-4)
            lengths = weights[f"weight_hh{suffix}"].norm(dim=1)
            torch.testing.assert_close(lengths, torch.ones(len(lengths)))
        x = torch.cat([run_by_hand(kind, x, weights, suffix, sizes) for suffix in suffixes], dim=2)
    found = layer(draw_sequences() if layer.batch_first else draw_sequences().transpose(0, 1))[0]
    torch.testing.assert_close(found if layer.batch_first else found.transpose(0, 1), x, rtol=1e-4, atol=1e-5)


def test_plain_and_weight_normalized_recurrent_networks_start_from_the_same_function():
    class Memory(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.encoder, self.memory, self.head = nn.Linear(3, 6), kind(6, 5, 2, batch_first=True), nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.memory(self.encoder(x))[0])

    for kind in (nn.LSTM, nn.GRU):
        x, network = draw_sequences(), Memory(kind)
        normalized = [weight_normalize(network, g_mode=mode) for mode in ("free", "fixed", "exponential")]
        for one in (network, *normalized):
            initialize_from_data(one, x, generator=make_generator(9))
            torch.testing.assert_close(one(x), network(x), rtol=1e-4, atol=1e-5)
            outputs = one(x).flatten(0, 1)  # the layer behind sees the outputs of an initialized one
            torch.testing.assert_close(outputs.mean(0), torch.zeros(2), rtol=0, atol=1e-4)
            torch.testing.assert_close(outputs.std(0, correction=0), torch.ones(2), rtol=1e-4, atol=1e-4)


def test_padding_of_packed_sequences_is_not_looked_at():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.memory = weight_normalize(nn.GRU(3, 4, num_layers=2))

        def forward(self, x):
            lengths = torch.arange(len(x)) % 7 + 1
            return self.memory(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0]

    states = []
    for padding in (0.0, 1e6):
        x = draw_sequences()
        for example, length in enumerate(torch.arange(len(x)) % 7 + 1):
            x[example, length:] = padding
        network = Packed()
        initialize_from_data(network, x, generator=make_generator(4))
        states.append(network.state_dict())
    assert all(tensor.equal(states[1][name]) for name, tensor in states[0].items())


def test_lstm_under_pytorchs_weight_norm_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="weight_normalize"):
        initialize_from_data(parametrizations.weight_norm(nn.LSTM(3, 2), "weight_hh_l0"), draw_sequences())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.LSTM(3, 2, 2, batch_first=True)])
def test_networks_in_other_dtypes_are_initialized_in_theirs(layer, dtype):
    network = weight_normalize(layer).to(dtype)
    initialize_from_data(network, draw_sequences().to(dtype), generator=make_generator(4))
    reference = weight_normalize(layer).float()
    initialize_from_data(reference, draw_sequences(), generator=make_generator(4))
    for name, tensor in reference.state_dict().items():
        found = network.state_dict()[name]
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), tensor, rtol=5e-2, atol=5e-2)
