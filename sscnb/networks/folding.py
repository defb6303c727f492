"""Batch norm as part of the convolution before it: the same function, with a map less to write, to read and to keep.

A norm with frozen statistics multiplies and adds a number a channel, and so can the convolution:
norm(W * x) = (s W) * x + t with s = weight / sqrt(var + eps) and t = bias - s mean.
"""

import copy
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_frozen(net: nn.Module) -> None:
    """Let each convolution of a network do the work of the frozen norm behind it, in place.

    Parameters, their names and their gradients stay, so that both train as before: s W and t are computed anew in each
    forward pass. Values and gradients are those of the two layers up to rounding. What the convolution alone would
    return is no longer kept for the backward pass, which is half of what such a backbone keeps.
    """
    for _, (_, convolution), (_, norm) in _pairs(net):
        # Set on the modules themselves: a module around both would change the names of their parameters.
        setattr(convolution, "forward", partial(_convolve_and_normalise, convolution, norm))  # noqa: B010
        setattr(norm, "forward", _activation(norm).forward)  # noqa: B010


def _convolve_and_normalise(convolution: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    assert norm.running_mean is not None and norm.running_var is not None  # frozen: there are statistics
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    if type(convolution) is not nn.Conv2d:  # timm's pads by itself; the rest is as in any other
        from timm.layers import pad_same

        x = pad_same(x, list(convolution.kernel_size), list(convolution.stride), list(convolution.dilation))
    return convolution._conv_forward(x, convolution.weight * scale.view(-1, 1, 1, 1), shift)


def _activation(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what a norm brings along: timm's have their activation with them."""
    return norm.get_submodule("act") if "act" in dict(norm.named_children()) else nn.Identity()


def folded(net: Network) -> Network:
    """Return a copy of a network, in evaluation mode, whose norms are gone into the convolutions' weights for good.

    Values are those of the network itself up to rounding.
    """
    net = copy.deepcopy(net).eval()
    for parent, (name, convolution), (next_name, norm) in list(_pairs(net)):
        convolution.__dict__.pop("forward", None)  # of `fold_frozen`
        setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
        setattr(parent, next_name, _activation(norm))
    return net


def _pairs(net: nn.Module) -> Iterator[tuple[nn.Module, tuple[str, nn.Conv2d], tuple[str, nn.BatchNorm2d]]]:
    """Yield each convolution and its norm, by name, with their parent: in every backbone here they are neighbours."""
    for parent in net.modules():
        children = list(parent.named_children())
        for (name, convolution), (next_name, norm) in zip(children, children[1:], strict=False):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield parent, (name, convolution), (next_name, norm)
