"""Folded networks: fewer layers, the same values, the same gradients."""

import copy

import pytest
import torch
from torch import nn

from sscnb.networks import backbones
from sscnb.networks.folding import fold_frozen, folded


def with_statistics(name):
    """A backbone whose norms have done some work, not folded yet."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "fold_frozen", lambda net: None)
        net = backbones.build_backbone(name, weights="random").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return net


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_no_norm_is_left_and_values_are_the_same(name, frozen):
    net, images = with_statistics(name), torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        expected = net(images)
        if frozen:
            fold_frozen(net)
        lighter = folded(net)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in lighter.modules())
        assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())  # the network itself is as it was
        for before, after in zip(expected, lighter(images), strict=True):
            assert (before - after).abs().max() <= 1e-5 * before.abs().max()


def test_a_folded_network_tells_training_from_evaluation():
    assert not folded(with_statistics("resnet50").train()).training


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_a_network_with_frozen_norms_trains_as_before(name):
    """In double precision: in float32 a value next to 0 may lie on the other side of a ReLU."""
    net = with_statistics(name).double().train()
    other = copy.deepcopy(net)
    fold_frozen(other)
    other = copy.deepcopy(other)  # a copy must work with its own parameters
    images = torch.randn(2, 3, 64, 80, dtype=torch.float64)
    for backbone in (net, other):
        backbone(images)[-1].square().mean().backward()
    names = dict(net.named_parameters())
    assert list(names) == [name for name, _ in other.named_parameters()]
    for name, parameter in other.named_parameters():
        expected = names[name].grad
        torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=1e-10 * expected.abs().max().item() + 1e-300)


def test_a_convolution_with_a_bias_is_folded_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    net[1].running_mean.normal_()
    images = torch.randn(1, 3, 8, 8)
    expected = net(images)
    fold_frozen(net)
    torch.testing.assert_close(net(images), expected)
