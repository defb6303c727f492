"""Staged backbones: a stem and four stages with known channels and strides, the same shape for every architecture.

Suppression, detaching and multi-stage heads are placed by stage, never by a layer's name. The architectures are
torchvision's ResNet-50/101 and VGG-16/19 and timm's EfficientNet-Lite0; the modules are theirs, only regrouped. Both
libraries are imported where a network is built: that takes seconds, and most processes build none.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from sscnb.errors import UserError, nearest
from sscnb.networks.folding import fold_frozen
from sscnb.networks.hed import caffe_input
from sscnb.networks.tensors import IMAGENET_MEAN, IMAGENET_STD
from sscnb.networks.weights import load_weights

NAMES = ("resnet50", "resnet101", "vgg16", "vgg19", "efficientnet_lite0", "efficientnet_lite0_relu")

Tap = Callable[[Tensor, int, int, bool], Tensor]
Stages = list[list[nn.Module]]


class Backbone(nn.Module):
    """A stem and four stages, each a list of blocks. Made by `build_backbone`.

    Batch-norm statistics are frozen for good, unless `train_norm`: its batch-norm layers stay in evaluation mode after
    `.train()`, while their affine terms train where their stage does.

    Attributes:
        name: of the architecture.
        channels, strides: five numbers each, stem first. A map of stride s has ceil(H / s) rows in the ResNets and
            EfficientNet-Lite0, floor(H / s) in the VGGs.
        stages: blocks by stage; stage 0 is the stem.
        detach: stem and stages up to this one run without gradient; 0 means that none does.
        train_norm: batch norm follows `.train()` as any other layer: it normalises by each batch and averages that.
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(
        self,
        name: str,
        stages: Stages,
        *,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        detach: int = 0,
        train_norm: bool = False,
        weights: str | os.PathLike = "imagenet",
    ) -> None:
        super().__init__()
        self.name, self.channels, self.strides, self.detach = name, channels, strides, detach
        self.train_norm = train_norm
        self.stages = nn.ModuleList(nn.ModuleList(blocks) for blocks in stages)
        scale, shift = _input_change(name, weights)
        self.changes_input = name.startswith("efficientnet") or weights == "hed"
        self.register_buffer("input_scale", scale, persistent=False)
        self.register_buffer("input_shift", shift, persistent=False)
        if detach:
            self.stages[: detach + 1].requires_grad_(False)
        self.train(self.training)

    def forward(self, images: Tensor, tap: Tap | None = None, *, stop: int = 4) -> list[Tensor]:
        """Return the output of the stem and of each stage up to `stop`.

        Args:
            images: B,3,H,W, normalised by ImageNet's mean and standard deviation, whatever the architecture.
            tap: `tap(x, stage, block, last) -> x`, called after every block; what it returns replaces the block's
                output. The stem is stage 0; `last` is True on a stage's last block.
            stop: last stage to run, 0 to 4.

        Returns:
            `stop + 1` maps B,K,h,w with K and stride as in `channels` and `strides`.
        """
        x = images * self.input_scale + self.input_shift if self.changes_input else images
        maps = []
        stages = cast("Iterable[nn.ModuleList]", self.stages[: stop + 1])  # torch does not type what a list holds
        for stage, blocks in enumerate(stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and (self.detach == 0 or stage > self.detach)):
                for index, block in enumerate(blocks):
                    x = block(x)
                    if tap is not None:
                        x = tap(x, stage, index, index == len(blocks) - 1)
            maps.append(x)
        return maps

    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode; without `train_norm` the batch-norm layers keep the statistics of ImageNet."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not self.train_norm:
                module.eval()
        return self


def build_backbone(
    name: str,
    *,
    output_stride: int = 16,
    weights: str | os.PathLike = "imagenet",
    detach: int = 0,
    dilate: bool = False,
    train_norm: bool = False,
) -> Backbone:
    """Build a staged backbone.

    ========================  =============================  =======================
    architecture              channels (stem, stages 1-4)    strides, none taken out
    ========================  =============================  =======================
    resnet50, resnet101       64, 256, 512, 1024, 2048       4, 4, 8, 16, 32
    vgg16, vgg19              64, 128, 256, 512, 512         1, 2, 4, 8, 16 (or 32)
    efficientnet_lite0        16, 24, 40, 112, 1280          2, 4, 8, 16, 32
    efficientnet_lite0_relu   16, 24, 40, 112, 1280          2, 4, 8, 16, 32
    ========================  =============================  =======================

    EfficientNet-Lite0 ends in a ReLU6, which caps every channel at 6 before DRS can. In `_relu` that one is a ReLU.
    A VGG stage is a pooling layer and the convolutions behind it: its last map is the one before the next pooling layer
    and its first block ends in relu{k}_1. At stride 32 the last pooling layer closes stage 4; at 16 it is left out, at
    8 so is the one before.

    Args:
        name: one of the first column.
        output_stride: of the last stage: 8, 16 or 32. Reached by taking strides out of the last stages.
        weights: "imagenet", "imagenet_v2" (ResNets), the path of a checkpoint file, or "random".
        detach: n > 0 freezes stem and stages 1 to n; no gradient passes them, so a loss network wants 0, which is none.
        dilate: dilate the convolutions of the stages whose stride was taken out, as DeepLab does: by 2, and by 4 after
            a second one; a stage's first block too, as in the release. Without it they stay as they are, as in the CAM
            networks of IRN and SSC (strides 2, 2, 2, 1).
        train_norm: let batch norm train, see `Backbone`.

    Raises:
        UserError: unknown name, stride or stage, or weights that are missing or do not fit.
    """
    if name not in NAMES:
        raise UserError(f"unknown backbone {name!r}: {nearest(name, list(NAMES))}")
    if output_stride not in (8, 16, 32):
        raise UserError(f"output_stride is {output_stride!r}; it must be 8, 16 or 32.")
    if detach not in range(5):
        raise UserError(f"detach is {detach!r}; it must be a stage from 1 to 4, or 0 to train all.")
    if name.startswith("resnet"):
        stages, channels, strides = _resnet(name, weights)
    elif name.startswith("vgg"):
        stages, channels, strides = _vgg(name, weights, output_stride, dilate)
    else:
        stages, channels, strides = _efficientnet_lite0(name, weights)
    if not name.startswith("vgg"):
        _take_out_strides(stages, strides, output_stride, dilate)
    shape = {"channels": channels, "strides": tuple(min(stride, output_stride) for stride in strides)}
    backbone = Backbone(name, stages, **shape, detach=detach, train_norm=train_norm, weights=weights)
    if not train_norm:
        fold_frozen(backbone)
    return backbone


def _resnet(name: str, weights: str | os.PathLike) -> tuple[Stages, tuple[int, ...], tuple[int, ...]]:
    from torchvision.models import get_model

    net = get_model(name, weights=None)
    del net.fc
    load_weights(net, name, weights)
    stem = [nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)]
    layers = [list(layer) for layer in (net.layer1, net.layer2, net.layer3, net.layer4)]
    return [stem, *layers], (64, 256, 512, 1024, 2048), (4, 4, 8, 16, 32)


def _vgg(
    name: str, weights: str | os.PathLike, output_stride: int, dilate: bool
) -> tuple[Stages, tuple[int, ...], tuple[int, ...]]:
    from torchvision.models.vgg import cfgs as vgg_layouts
    from torchvision.models.vgg import make_layers

    # Not torchvision's VGG class: that builds the 100 million parameters of the head.
    features: nn.Sequential = make_layers(vgg_layouts[{"vgg16": "D", "vgg19": "E"}[name]])
    net = nn.ModuleDict({"features": features})
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    load_weights(net, name, weights)

    stages: Stages = [[]]
    block: list[nn.Module] = []
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        block.append(layer)
        if isinstance(layer, nn.ReLU):
            stages[-1].append(nn.Sequential(*block))
            block = []
    stages.pop()  # opened by the last pooling layer, which is what is left in `block`
    last = stages[-1]
    if output_stride == 32:
        last[-1] = nn.Sequential(*last[-1].children(), *block)
    if output_stride == 8:
        last[0] = nn.Sequential(*list(last[0].children())[1:])
        if dilate:
            _set_dilation(last, 2)
    return stages, (64, 128, 256, 512, 512), (1, 2, 4, 8, 32 if output_stride == 32 else 16)


def _efficientnet_lite0(name: str, weights: str | os.PathLike) -> tuple[Stages, tuple[int, ...], tuple[int, ...]]:
    import timm

    # The "tf" variant: the weights were trained with TensorFlow's SAME padding and batch-norm epsilon 1e-3.
    net: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0)  # its parts are no typed attributes
    load_weights(net, name, weights)
    groups = [list(group) for group in net.blocks]
    if name.endswith("_relu"):
        net.bn2.act = nn.ReLU(inplace=True)
    stages = [
        [nn.Sequential(net.conv_stem, net.bn1), *groups[0]],
        groups[1],
        groups[2],
        groups[3] + groups[4],
        groups[5] + groups[6] + [nn.Sequential(net.conv_head, net.bn2)],
    ]
    return stages, (16, 24, 40, 112, 1280), (2, 4, 8, 16, 32)


def _input_change(name: str, weights: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """Return scale and shift (each 3,1,1) from ImageNet-normalised images to the input that a network was trained on.

    EfficientNet-Lite's own is (x - 127) / 128 for x in 0..255, and no part of the first convolution, whose zero padding
    would stand for another colour then.
    """
    if weights == "hed":
        return caffe_input()
    if not name.startswith("efficientnet"):
        return torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    return std * 255 / 128, (mean * 255 - 127) / 128


def _take_out_strides(stages: Stages, strides: tuple[int, ...], output_stride: int, dilate: bool) -> None:
    """Set strides beyond `output_stride` to 1, in place; dilation doubles with each, from its own stage on."""
    rate = 1
    for blocks, stride in zip(stages, strides, strict=True):
        if stride <= output_stride:
            continue
        for module in blocks[0].modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
        rate *= 2
        if dilate:
            _set_dilation(blocks, rate)


def _set_dilation(blocks: list[nn.Module], rate: int) -> None:
    for block in blocks:
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
                module.dilation = (rate, rate)
                if module.padding != (0, 0):  # timm's SAME convolutions pad in their forward
                    module.padding = tuple(rate * (size // 2) for size in module.kernel_size)
