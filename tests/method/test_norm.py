"""The decoder's norms against their definitions, value and gradient."""

import pytest
import torch
import torch.nn.functional as F

from sscnb.method.norm import InstanceNorm, SampleNorm


def seeded(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def definition(x, weight, bias):
    mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)  # unbiased
    return (x - mean) / (deviation + 1e-5) * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


def layer(channels, dtype=torch.float64):
    torch.manual_seed(0)
    norm = SampleNorm(channels).to(dtype)
    torch.nn.init.normal_(norm.bias)
    return norm


def test_by_hand():
    norm = SampleNorm(2).double()
    norm.weight.data, norm.bias.data = torch.tensor([[1.0, 2.0], [0.0, 10.0]]).double()
    # 1, 2, 3, 6: the mean is 3; squares 4 + 1 + 0 + 9 = 14, over n - 1 = 3 and not over 4
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 6.0]]]]).double()
    d = (14 / 3) ** 0.5 + 1e-5
    assert norm(x).flatten().tolist() == pytest.approx([-2 / d, -1 / d, 10, 10 + 2 * 3 / d], rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-6])  # at 1e-6 it is epsilon that divides
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_the_definition(scale, layout):
    norm = layer(5)
    x = (scale * seeded(3, 5, 4, 3) + scale).to(memory_format=layout).requires_grad_()
    upstream = seeded(3, 5, 4, 3, seed=1)
    found, expected = norm(x), definition(x, norm.weight, norm.bias)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found.is_contiguous(memory_format=layout)
    parts = (x, norm.weight, norm.bias)
    gradients = (torch.autograd.grad(y, parts, upstream) for y in (found, expected))
    for mine, wanted in zip(*gradients, strict=True):
        assert (mine - wanted).norm() <= 1e-12 * wanted.norm()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gradients_on_a_gpu_are_those_on_the_cpu():
    gradients = []
    for device in ("cpu", "cuda"):
        norm, x = layer(5).to(device), seeded(3, 5, 4, 3).to(device).requires_grad_()
        parts = (x, norm.weight, norm.bias)
        gradients.append(torch.autograd.grad(norm(x), parts, seeded(3, 5, 4, 3, seed=1).to(device)))
    for on_cpu, on_gpu in zip(*gradients, strict=True):
        assert (on_gpu.cpu() - on_cpu).norm() <= 1e-12 * on_cpu.norm()


def test_gradcheck():
    norm = layer(3)
    arguments = (seeded(2, 3, 2, 3).requires_grad_(), norm.weight, norm.bias)

    def call(x, weight, bias):
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(call, arguments)


def test_no_gradient_is_made_for_what_needs_none():
    norm = layer(3).requires_grad_(False)
    norm.bias.requires_grad_()
    norm(seeded(2, 3, 2, 3)).sum().backward()
    assert norm.weight.grad is None and norm.bias.grad.tolist() == pytest.approx([12, 12, 12])


def test_a_flat_sample_is_the_bias_and_has_a_finite_gradient():
    norm = layer(3, torch.float32)
    x = torch.zeros(1, 3, 4, 4, requires_grad=True)
    y = norm(x)
    assert torch.equal(y, norm.bias.view(1, -1, 1, 1).expand_as(y))
    y.backward(seeded(1, 3, 4, 4, dtype=torch.float32))
    assert x.grad.isfinite().all() and x.grad.abs().max() > 1e3  # 1 / 1e-5 times what is over the mean


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-6), (torch.bfloat16, 0.02), (torch.float16, 0.003)])
def test_the_input_s_precision_is_kept(dtype, error):
    norm = layer(4, torch.float32)
    x = seeded(2, 4, 20, 30).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = norm(x)
    wide = x.detach().double().requires_grad_()
    expected = definition(wide, norm.weight.double(), norm.bias.double())
    assert y.dtype == dtype and (y - expected).abs().max() < error
    upstream = seeded(2, 4, 20, 30, seed=1)
    y.backward(upstream.to(dtype))
    expected.backward(upstream)
    assert (x.grad - wide.grad).norm() < error * wide.grad.norm()


def test_an_in_place_activation_behind_it_is_allowed():
    norm, x = layer(4), seeded(2, 4, 3, 3).requires_grad_()
    (found,) = torch.autograd.grad(F.relu(norm(x), inplace=True).sum(), x)
    (expected,) = torch.autograd.grad(F.relu(definition(x, norm.weight, norm.bias)).sum(), x)
    torch.testing.assert_close(found, expected)


def test_instance_norm_is_torch_s():
    x = seeded(2, 4, 5, 3)
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(x))
