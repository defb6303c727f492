"""Batch norm folded into the convolution before it: the same function, with a pass over every map less."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(net: Network) -> Network:
    """Return a copy of a network, in evaluation mode, whose norms are part of the convolutions.

    A norm is folded where it is the next child of the same parent as its convolution, as in every backbone here; what
    it brings along, timm's activation, stays. Values are those of the network itself up to rounding.
    """
    net = copy.deepcopy(net).eval()
    for parent in list(net.modules()):
        children = list(parent.named_children())
        for (name, convolution), (next_name, norm) in zip(children, children[1:], strict=False):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, next_name, getattr(norm, "act", nn.Identity()))
    return net
