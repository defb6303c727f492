"""Folded networks: fewer layers, the same values."""

import pytest
import torch
from torch import nn

from sscnb.networks.backbones import build_backbone
from sscnb.networks.folding import folded


def with_statistics(name):
    """A backbone whose norms have done some work."""
    torch.manual_seed(0)
    net = build_backbone(name, weights="random").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return net


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_no_norm_is_left_and_values_are_the_same(name):
    net = with_statistics(name)
    lighter, images = folded(net), torch.randn(2, 3, 64, 80)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in lighter.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())  # the network itself is as it was
    with torch.no_grad():
        for before, after in zip(net(images), lighter(images), strict=True):
            assert (before - after).abs().max() <= 1e-5 * before.abs().max()


def test_a_folded_network_tells_training_from_evaluation():
    assert not folded(with_statistics("resnet50").train()).training
