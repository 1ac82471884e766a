"""w = g v / ‖v‖: the paper's equations, PyTorch as a second opinion, and everything that a layer must survive."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils import parametrizations

from wn_rl.errors import ConfigurationError
from wn_rl.nn import weight_norm
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.weight_norm import compute_weight, compute_weights
from wn_rl.nn.weight_norm_layers import WeightNormLinear

SHAPES = [(5, 7), (7, 5), (4, 3, 2), (5, 3, 4, 2), (3, 2, 4, 3, 2)]


def draw(shape, *, dtype=torch.float64, seed=0, requires_grad=True):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_(requires_grad)


def v_g_and_gradient(shape, dtype=torch.float64):
    """v, g with negative entries, and ∇w of some loss."""
    return draw(shape, dtype=dtype), draw(shape[:1], dtype=dtype, seed=1), draw(shape, dtype=dtype, seed=2).detach()


@pytest.mark.parametrize("way", ["kernels", "plain operations", "PyTorch's kernel"])
@pytest.mark.parametrize("shape", SHAPES)
def test_weight_is_g_times_the_direction_of_v_worked_out_row_by_row(shape, way, monkeypatch):
    if way == "plain operations":
        monkeypatch.setattr(weight_norm, "uses_plain_operations", lambda: True)
    v, g = draw(shape, requires_grad=False), draw(shape[:1], seed=1, requires_grad=False)
    with torch.set_grad_enabled(way != "kernels"):
        weight = compute_weight(v, g)
    for unit in range(shape[0]):
        length = sum(entry**2 for entry in v[unit].flatten().tolist()) ** 0.5
        torch.testing.assert_close(weight[unit], v[unit] * float(g[unit]) / length)


@pytest.mark.parametrize("shape", SHAPES)
def test_length_of_every_unit_is_the_absolute_value_of_g(shape):
    v, g, _ = v_g_and_gradient(shape)
    torch.testing.assert_close(compute_weight(v, g).flatten(1).norm(dim=1), g.abs())


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_equation_3(shape):
    v, g, grad_w = v_g_and_gradient(shape)
    compute_weight(v, g).backward(grad_w)
    rows, grad_rows = v.detach().flatten(1), grad_w.flatten(1)
    norm = rows.norm(dim=1)
    grad_g = (grad_rows * rows).sum(1) / norm
    grad_v = (g / norm)[:, None] * grad_rows - (g * grad_g / norm**2)[:, None] * rows
    torch.testing.assert_close(g.grad, grad_g)
    torch.testing.assert_close(v.grad.flatten(1), grad_v.detach())


def test_gradient_of_v_is_the_projection_of_equation_4():
    v, g, grad_w = v_g_and_gradient((5, 7))
    weight = compute_weight(v, g)
    weight.backward(grad_w)
    for unit in range(5):
        w = weight[unit].detach()
        projector = torch.eye(7, dtype=torch.float64) - torch.outer(w, w) / w.dot(w)
        expected = g[unit] / v[unit].norm() * projector @ grad_w[unit]
        torch.testing.assert_close(v.grad[unit], expected.detach())


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_v_is_orthogonal_to_v(shape):
    v, g, grad_w = v_g_and_gradient(shape)
    compute_weight(v, g).backward(grad_w)
    torch.testing.assert_close((v.grad * v).flatten(1).sum(1), torch.zeros(shape[0], dtype=torch.float64))


def test_scaling_v_leaves_the_weight_and_divides_its_gradient():
    v, g, grad_w = v_g_and_gradient((5, 3, 4, 2))
    scaled = (v.detach() * 10).requires_grad_()
    first, second = compute_weight(v, g), compute_weight(scaled, g)
    torch.testing.assert_close(first, second)
    first.backward(grad_w)
    second.backward(grad_w)
    torch.testing.assert_close(scaled.grad, v.grad / 10)


def test_a_step_of_gradient_descent_never_shortens_v():
    v, g, grad_w = v_g_and_gradient((6, 9))
    compute_weight(v, g).backward(grad_w)
    assert ((v - 0.1 * v.grad).norm(dim=1) > v.norm(dim=1)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_agree_with_pytorchs_weight_norm(shape, dtype):
    v, g, grad_w = v_g_and_gradient(shape, dtype)
    weight = compute_weight(v, g)
    ours = (weight, *torch.autograd.grad(weight, (v, g), grad_w))
    weight = torch._weight_norm(v, g.view(-1, *(1,) * (v.dim() - 1)), 0)
    theirs = (weight, *torch.autograd.grad(weight, (v, g), grad_w))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 2), (3, 2, 4, 2)])
def test_gradients_and_second_gradients_agree_with_finite_differences(shape):
    v, g, _ = v_g_and_gradient(shape)
    assert gradcheck(compute_weight, (v, g))
    assert gradgradcheck(compute_weight, (v, g))


@pytest.mark.parametrize("dim", [0, 2])
def test_second_gradients_of_pytorchs_own_kernel_are_right_too_once_ours_are_imported(dim):
    v, _, _ = v_g_and_gradient((3, 2, 4))
    g = torch.linalg.vector_norm(v.detach(), dim=[axis for axis in range(3) if axis != dim], keepdim=True)
    assert gradgradcheck(lambda v, g: torch._weight_norm(v, g, dim), (v, (0.5 + g).requires_grad_()))


def test_channels_last_v_gives_the_same_weight_and_gradients_in_its_own_format():
    v, g, grad_w = v_g_and_gradient((3, 4, 3, 2))
    last = v.detach().to(memory_format=torch.channels_last).requires_grad_()
    weight = compute_weight(last, g)
    torch.testing.assert_close(weight, compute_weight(v, g))
    assert weight.is_contiguous(memory_format=torch.channels_last)
    grad_last, grad_g_last = torch.autograd.grad(weight, (last, g), grad_w)
    grad_v, grad_g = torch.autograd.grad(compute_weight(v, g), (v, g), grad_w)
    torch.testing.assert_close(grad_last, grad_v)
    torch.testing.assert_close(grad_g_last, grad_g)
    assert gradgradcheck(compute_weight, (last, g))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_linear_layer_agrees_with_pytorchs_parametrization(dtype):
    layer = WeightNormLinear(600, 512, generator=torch.Generator().manual_seed(0)).to(dtype)
    theirs = parametrizations.weight_norm(nn.Linear(600, 512, dtype=dtype))
    with torch.no_grad():
        layer.set_g_(draw((512,), dtype=dtype))
        theirs.parametrizations.weight.original1.copy_(layer.v)
        theirs.parametrizations.weight.original0.copy_(layer.g[:, None])
        theirs.bias.copy_(layer.bias)
    x = draw((6, 600), dtype=dtype, seed=7)
    tolerance = {"rtol": 3e-2, "atol": 3e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    outputs = layer(x), theirs(x)
    torch.testing.assert_close(*outputs, **tolerance)
    ours = torch.autograd.grad(outputs[0].square().mean(), (x, layer.v, layer.g, layer.bias))
    originals = theirs.parametrizations.weight
    reference = (x, originals.original1, originals.original0, theirs.bias)
    for one, other in zip(ours, torch.autograd.grad(outputs[1].square().mean(), reference), strict=True):
        torch.testing.assert_close(one, other.view_as(one), **tolerance)


@pytest.mark.parametrize("num_zero", [1, 5])
def test_a_zero_row_of_v_gives_a_zero_weight_and_no_gradient_and_never_nan(num_zero):
    v, g, grad_w = v_g_and_gradient((5, 7))
    with torch.no_grad():
        v[:num_zero] = 0
    weight = compute_weight(v, g)
    grad_v, grad_g = torch.autograd.grad(weight, (v, g), grad_w)
    for tensor in (weight, grad_v, grad_g):
        assert tensor[:num_zero].eq(0).all()
        assert tensor.isfinite().all()
    torch.testing.assert_close(weight[num_zero:], compute_weight(v[num_zero:], g[num_zero:]))


def test_a_layer_with_a_zero_row_is_refused_with_its_units():
    plain = nn.Linear(4, 3)
    with torch.no_grad():
        plain.weight[1] = 0
    with pytest.raises(ConfigurationError, match=r"output units \[1\] are all zero"):
        weight_normalize(plain)


def test_torch_func_transforms_see_the_same_gradients():
    v, g, grad_w = v_g_and_gradient((5, 7))
    expected = torch.autograd.grad((compute_weight(v, g) * grad_w).sum(), (v, g))
    found = torch.func.grad(lambda v, g: (compute_weight(v, g) * grad_w).sum(), argnums=(0, 1))(v.detach(), g.detach())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("is_learned", [False, True])
@pytest.mark.parametrize(("shape", "num_lengths"), [((5, 7), 4), ((5, 7), 6), ((5, 7), 0), ((5, 3, 2), 1), ((5,), 5)])
def test_v_and_g_that_do_not_fit_are_refused_with_their_shapes(shape, num_lengths, dtype, is_learned):
    v, g = draw(shape, dtype=dtype, requires_grad=is_learned), draw((num_lengths,), dtype=dtype)
    for compute in (compute_weight, lambda v, g: compute_weights([v], [g])):
        with pytest.raises(ConfigurationError, match=rf"\[{num_lengths}\] do not fit.*\[O, \.\.\.\]"):
            compute(v, g)


@pytest.mark.parametrize("other", [torch.ones(5, device="meta"), torch.ones(5, dtype=torch.int64)])
def test_a_g_that_lies_elsewhere_or_counts_is_refused(other):
    with pytest.raises(ConfigurationError, match="real numbers on one device"):
        compute_weight(draw((5, 7)), other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 0), (0, 7), (0, 3, 2)])
def test_empty_weights_have_empty_gradients(shape, dtype):
    v, g = draw(shape, dtype=dtype), draw(shape[:1], dtype=dtype)
    weight = compute_weight(v, g)
    grad_v, grad_g = torch.autograd.grad(weight, (v, g), torch.ones_like(weight))
    assert (weight.shape, grad_v.shape) == (shape, shape)
    assert not grad_g.any()


def test_one_layer_alone_and_several_together_agree():
    vs = [draw(shape, dtype=torch.float32) for shape in ((5, 7), (33, 1000), (4, 3, 3, 2))]
    vs.append(draw((4, 3, 3, 2)).float().to(memory_format=torch.channels_last))
    vs.append(draw((7, 5)).float().t())
    vs = [v.detach().requires_grad_() for v in vs]
    gs = [draw((len(v),), dtype=torch.float32, seed=1) for v in vs]
    for v, g, together in zip(vs, gs, compute_weights(vs, gs), strict=True):
        alone = compute_weight(v, g)
        torch.testing.assert_close(alone, together)
        found = torch.autograd.grad(alone.pow(3).sum(), (v, g))
        expected = torch.autograd.grad(together.pow(3).sum(), (v, g), retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
