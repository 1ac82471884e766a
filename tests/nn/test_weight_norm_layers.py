"""The weight-normalized layers: the plain layer's function, g's three modes, and all that a layer must survive."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import plain, to_torch_parametrization, weight_normalize
from wn_rl.nn.folding import make_folded
from wn_rl.nn.weight_norm_layers import (
    PLAIN_OF,
    WeightNormConv1d,
    WeightNormConv2d,
    WeightNormConv3d,
    WeightNormConvTranspose1d,
    WeightNormConvTranspose2d,
    WeightNormConvTranspose3d,
    WeightNormLinear,
)
from wn_rl.nn.weight_norm_recurrent import (
    PLAIN_RECURRENT,
    WeightNormGRU,
    WeightNormGRUCell,
    WeightNormLSTM,
    WeightNormLSTMCell,
    WeightNormRNN,
    WeightNormRNNCell,
    named_weights,
)

AFFINE = [
    (WeightNormLinear, (7, 5), {}, (3, 7)),
    (WeightNormConv1d, (4, 6, 3), {"groups": 2, "padding": "same", "padding_mode": "circular"}, (3, 4, 9)),
    (WeightNormConv2d, (4, 6, (3, 2)), {"stride": (2, 1), "dilation": 2}, (3, 4, 9, 8)),
    (WeightNormConv3d, (4, 6, 2), {"bias": False}, (3, 4, 5, 4, 3)),
    (WeightNormConvTranspose1d, (4, 6, 3), {"stride": 2, "output_padding": 1}, (3, 4, 9)),
    (WeightNormConvTranspose2d, (4, 6, (3, 2)), {"groups": 2, "stride": 2}, (3, 4, 5, 6)),
    (WeightNormConvTranspose3d, (4, 6, 2), {}, (3, 4, 3, 2, 3)),
]


def make_affine(kind, arguments, options, **more):
    """A layer with v from a fixed seed and g of both signs."""
    layer = kind(*arguments, **options, generator=torch.Generator().manual_seed(0), **more)
    if layer.g_mode != "exponential":
        layer.set_g_(torch.linspace(-2, 3, len(layer.compute_g())))
    return layer


def draw(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), AFFINE)
def test_layer_computes_what_the_plain_layer_computes_with_w(kind, arguments, options, shape):
    layer = make_affine(kind, arguments, options)
    reference = PLAIN_OF[kind](*arguments, **options)
    state = {"weight": layer.weight.detach()} | ({} if layer.bias is None else {"bias": layer.bias.detach()})
    reference.load_state_dict(state)
    torch.testing.assert_close(layer(draw(shape)), reference(draw(shape)))


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), AFFINE)
def test_output_of_one_unit_scales_with_its_own_g_alone(kind, arguments, options, shape):
    layer = make_affine(kind, arguments, options | {"bias": False})
    before = layer(draw(shape))
    with torch.no_grad():
        layer.g[2] *= 5
    change = layer(draw(shape)) / before
    axis = 1 if change.dim() > 2 else -1
    units = change.movedim(axis, 0).flatten(1)
    expected = torch.ones_like(units)
    expected[2] = 5
    finite = units.isfinite()  # 0/0 where padding alone is seen
    torch.testing.assert_close(units[finite], expected[finite], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), AFFINE)
def test_parameters_are_called_v_g_and_bias(kind, arguments, options, shape):
    layer = make_affine(kind, arguments, options)
    names = {name for name, _ in layer.named_parameters()}
    assert names == ({"v", "g", "bias"} if options.get("bias", True) else {"v", "g"})
    assert layer.g.shape == (arguments[1],)


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), AFFINE)
def test_copies_and_saved_states_give_the_same_outputs(kind, arguments, options, shape):
    layer = make_affine(kind, arguments, options)
    x = draw(shape)
    expected = layer(x)
    expected.sum().backward()
    torch.testing.assert_close(copy.deepcopy(layer)(x), expected, rtol=0, atol=0)
    other = kind(*arguments, **options)
    other.load_state_dict(load(save(layer.state_dict())))  # through safetensors' bytes
    torch.testing.assert_close(other(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), AFFINE)
def test_autocast_computes_in_bfloat16_and_keeps_parameters_and_gradients_in_float32(kind, arguments, options, shape):
    layer = make_affine(kind, arguments, options)
    x = draw(shape)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), rtol=5e-2, atol=5e-2)
    y.float().sum().backward()
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}


def test_large_linear_layer_in_autocast_agrees_with_float32():
    layer = make_affine(WeightNormLinear, (1024, 300), {})
    x = draw((4, 1024)).requires_grad_()
    gradients = {}
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(x)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        gradients[enabled] = torch.autograd.grad(y.float().square().sum(), (x, *layer.parameters()))
    for rough, exact in zip(gradients[True], gradients[False], strict=True):
        assert rough.dtype == torch.float32
        assert F.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.999


def test_channels_last_changes_no_output_and_no_gradient():
    layer = make_affine(WeightNormConv2d, (4, 6, 3), {})
    x = draw((2, 4, 7, 6))
    expected = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    last = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    assert last.v.is_contiguous(memory_format=torch.channels_last)
    y = last(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(y, layer(x))
    for one, other in zip(torch.autograd.grad(y.square().sum(), list(last.parameters())), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_v_is_drawn_from_a_normal_distribution_of_std_one_twentieth():
    layer = WeightNormLinear(300, 200, generator=torch.Generator().manual_seed(0))
    assert layer.v.mean().abs() < 0.001
    assert math.isclose(layer.v.std().item(), 0.05, rel_tol=0.01)
    torch.testing.assert_close(layer.weight, layer.v)  # g = ‖v‖ at first


def test_v_depends_on_the_generator_alone():
    torch.manual_seed(5)
    first = WeightNormConv2d(3, 4, 2, generator=torch.Generator().manual_seed(9))
    torch.manual_seed(6)
    second = WeightNormConv2d(3, 4, 2, generator=torch.Generator().manual_seed(9))
    assert first.v.equal(second.v)


def test_fixed_g_is_saved_and_not_trained():
    layer = make_affine(WeightNormLinear, (7, 5), {}, g_mode="fixed")
    layer(draw((3, 7))).sum().backward()
    assert {name for name, _ in layer.named_parameters()} == {"v", "bias"}
    assert layer.g.grad is None
    assert "g" in layer.state_dict()


def test_exponential_g_is_the_exponential_of_s_and_learns_through_it():
    layer = WeightNormLinear(7, 5, g_mode="exponential")
    with torch.no_grad():
        layer.s.copy_(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]))
    torch.testing.assert_close(layer.weight.norm(dim=1), layer.s.exp())
    grad_s, grad_w_along_w = layer.s, layer.weight
    (grad,) = torch.autograd.grad((layer.weight * 2.0).sum(), grad_s)
    torch.testing.assert_close(grad, 2 * grad_w_along_w.sum(1))  # ∂w/∂s = w


def test_exponential_g_refuses_a_negative_length():
    layer = WeightNormLinear(7, 2, g_mode="exponential")
    with pytest.raises(ConfigurationError, match="positive"):
        layer.set_g_(torch.tensor([1.0, -1.0]))


def test_unknown_g_mode_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="free, fixed, exponential"):
        weight_normalize(nn.Linear(3, 2), g_mode="log")


RECURRENT = [
    (WeightNormLSTM, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    (WeightNormLSTM, {"proj_size": 2, "bias": False}),
    (WeightNormGRU, {"num_layers": 2}),
    (WeightNormRNN, {"nonlinearity": "relu", "num_layers": 2}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layer_computes_what_pytorchs_computes_with_w(kind, options):
    layer = kind(3, 5, **options, generator=torch.Generator().manual_seed(0))
    reference = PLAIN_RECURRENT[kind](3, 5, **options)
    reference.load_state_dict(named_weights(layer))
    x = draw((4, 2, 3))
    torch.testing.assert_close(layer(x)[0], reference(x)[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layer_has_one_g_for_every_row_and_orthogonal_gradients(kind, options):
    layer = kind(3, 5, **options)
    layer(draw((4, 2, 3)))[0].square().sum().backward()
    parameters = dict(layer.named_parameters())
    pairs = [(parameters[name], parameters["g" + name[1:]]) for name in parameters if name.startswith("v_")]
    assert len(pairs) >= 2
    for v, g in pairs:
        assert g.shape == (v.shape[0],)
        torch.testing.assert_close((v.grad * v).sum(1), torch.zeros(len(v)), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layer_survives_copies_dtypes_and_new_biases(kind, options):
    layer = kind(3, 5, **options)
    x = draw((4, 2, 3))
    expected = layer(x)[0]
    clone = copy.deepcopy(layer)
    clone.load_state_dict(load(save(layer.state_dict())))
    torch.testing.assert_close(clone(x)[0], expected, rtol=0, atol=0)
    torch.testing.assert_close(clone.double()(x.double())[0].float(), expected)
    torch.testing.assert_close(plain(layer)(x)[0], expected)
    torch.testing.assert_close(weight_normalize(plain(layer))(x)[0], expected)


@pytest.mark.parametrize(
    ("kind", "arguments", "shape"),
    [(kind, arguments, shape) for kind, arguments, _, shape in AFFINE]
    + [(WeightNormLSTM, (3, 5, 2), (4, 2, 3)), (WeightNormGRU, (3, 5), (4, 2, 3))],
)
def test_torch_func_and_autocast_reach_every_layer(kind, arguments, shape):
    layer, x = kind(*arguments), draw(shape)
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}

    def compute(parameters):
        y = torch.func.functional_call(layer, parameters, (x,))
        return y[0] if isinstance(y, tuple) else y

    expected = torch.autograd.grad(compute(dict(layer.named_parameters())).square().sum(), list(layer.parameters()))
    found = torch.func.grad(lambda parameters: compute(parameters).square().sum())(parameters)
    for one, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        try:
            reference = plain(layer)(x)
        except RuntimeError as error:  # PyTorch's own LSTM, on a processor that does not multiply bfloat16
            pytest.skip(str(error))
        y = compute(dict(layer.named_parameters()))
    reference = reference[0] if isinstance(reference, tuple) else reference
    assert y.dtype == reference.dtype  # PyTorch's GRU on a CPU stays in float32
    torch.testing.assert_close(y, reference, rtol=5e-2, atol=5e-2)


CELLS = [
    (WeightNormLSTMCell, WeightNormLSTM, {}),
    (WeightNormGRUCell, WeightNormGRU, {"bias": False}),
    (WeightNormRNNCell, WeightNormRNN, {"nonlinearity": "relu"}),
]


def unroll(cell, x):
    """The outputs of a cell, [T, B, H], called step by step."""
    state, outputs = None, []
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


@pytest.mark.parametrize("g_mode", ["free", "fixed", "exponential"])
@pytest.mark.parametrize(("kind", "_layer_kind", "options"), CELLS)
def test_a_cell_agrees_with_pytorchs_parametrization_on_pytorchs_cell(kind, _layer_kind, options, g_mode):
    cell = kind(3, 5, **options, g_mode=g_mode, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, tensor in cell.state_dict().items():
            tensor.mul_(-2 if name.startswith("g") else 3)
    theirs, x = to_torch_parametrization(cell), draw((4, 2, 3))
    assert type(theirs).__name__ == f"Parametrized{PLAIN_RECURRENT[kind].__name__}"
    torch.testing.assert_close(unroll(cell, x), unroll(theirs, x))
    unroll(cell, x).square().sum().backward()
    unroll(theirs, x).square().sum().backward()
    torch.testing.assert_close(cell.v_hh.grad, theirs.parametrizations.weight_hh.original1.grad, rtol=1e-4, atol=1e-5)
    for one in (plain(cell), make_folded(cell), weight_normalize(theirs)):
        torch.testing.assert_close(unroll(one, x), unroll(cell, x))


@pytest.mark.parametrize(("kind", "layer_kind", "options"), CELLS)
def test_a_cell_step_by_step_is_the_layer_in_one_call(kind, layer_kind, options):
    cell, layer, x = kind(3, 5, **options), layer_kind(3, 5, **options), draw((4, 2, 3))
    layer.load_state_dict({f"{name}_l0": tensor for name, tensor in cell.state_dict().items()})
    torch.testing.assert_close(unroll(cell, x), layer(x)[0])


EVERY = [(kind, arguments, options) for kind, arguments, options, _ in AFFINE] + [
    (kind, (3, 5), {}) for kind in PLAIN_RECURRENT
]


@pytest.mark.parametrize("g_mode", ["free", "fixed", "exponential"])
@pytest.mark.parametrize(("kind", "arguments", "options"), EVERY)
def test_a_layer_is_made_on_the_meta_device_and_filled_by_reset_parameters(kind, arguments, options, g_mode):
    layer = kind(*arguments, **options, g_mode=g_mode, device="meta", dtype=torch.float64)
    assert {tensor.device.type for tensor in layer.state_dict().values()} == {"meta"}
    assert {tensor.dtype for tensor in layer.state_dict().values()} == {torch.float64}
    assert {tensor.device.type for tensor in weight_normalize(layer, g_mode=g_mode).state_dict().values()} == {"meta"}
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            tensor.fill_(torch.nan)
    layer.reset_parameters()
    weights = {"v": layer.weight} if hasattr(layer, "v") else named_weights(layer)
    for name, tensor in layer.state_dict().items():
        assert tensor.isfinite().all()
        if name.startswith("v"):
            assert 0.02 < tensor.std() < 0.09
            torch.testing.assert_close(weights[name if name == "v" else name.replace("v_", "weight_")], tensor)
    assert next(layer.parameters()).dtype == torch.float64


def test_reset_parameters_draws_anew_and_forgets_a_weight_that_is_held():
    layer = make_affine(WeightNormLinear, (7, 5), {})
    before = layer.v.detach().clone()
    layer.reset_parameters()
    assert not layer.v.equal(before)
    torch.testing.assert_close(layer.g, layer.v.norm(dim=1))
