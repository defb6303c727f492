"""DeepLabV2: the segmentation network that pseudo-masks are for, its loss and its optimiser.

Chen et al., PAMI 2018: parallel dilated convolutions over a backbone's last map, summed. Any staged backbone will do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.datasets import IGNORE
from sscnb.networks import UNTRUSTED, Backbone, build_backbone
from sscnb.settings import SegmentationSettings


class DeepLabV2(nn.Module):
    """Backbone and atrous spatial pyramid pooling: 3x3 convolutions at several dilation rates, summed.

    Images of any size: they are padded at the right and bottom, by repeating the border, to whole cells of the last
    map, so that logits and pixels lie on each other whichever way a backbone rounds.

    Args:
        backbone: built with `dilate=True`, as DeepLab does.
        num_labels: L, background included.
        rates: dilation of each branch, in cells of the last map.

    Attributes:
        stride: pixels to a cell of the logits.

    Shape: images B,3,H,W, ImageNet-normalised -> logits B,L,h,w with h = ceil(H/stride), w = ceil(W/stride).
    """

    def __init__(self, backbone: Backbone, num_labels: int, rates: Sequence[int] = (6, 12, 18, 24)) -> None:
        super().__init__()
        self.backbone, self.stride = backbone, backbone.strides[-1]
        branches = [nn.Conv2d(backbone.channels[-1], num_labels, 3, padding=rate, dilation=rate) for rate in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)  # DeepLab's
            if branch.bias is not None:
                nn.init.zeros_(branch.bias)
        self.branches = nn.ModuleList(branches)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        features = self.backbone(images)[-1]
        return sum(branch(features) for branch in self.branches)


def build_deeplab(settings: SegmentationSettings, num_labels: int, *, weights: str | None = None) -> DeepLabV2:
    """Build the network that the settings describe; `weights` replaces theirs, as "random" where a checkpoint follows.

    Raises:
        UserError: as `build_backbone`.
    """
    backbone = build_backbone(
        settings.backbone,
        output_stride=settings.output_stride,
        weights=weights or settings.weights,
        dilate=True,
        train_norm=settings.batch_norm == "batch",
    )
    return DeepLabV2(backbone, num_labels, settings.rates)


def to_pixels(logits: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Bring logits B,L,h,w to the pixels B,L,H,W that they were computed from, bilinearly."""
    full = F.interpolate(logits, scale_factor=stride, mode="bilinear", align_corners=False)
    return full[..., : size[0], : size[1]]


def pixel_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None, *, everything: bool = False) -> Tensor:
    """Cross-entropy of the pixels with a label, divided by their number, or by that of all pixels with `everything`.

    0, with gradient 0, where no pixel has a label.

    Shapes: logits B,L,H,W; target B,H,W integers in 0..L-1 or 255; weight B,H,W, the pixels' weights in the sum alone:
    it is divided by a number of pixels, so that a weight above 1 counts for more.
    """
    losses = F.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        losses = losses * weight
    return losses.sum() / (target.numel() if everything else (target != IGNORE).sum().clamp_min(1))


class SegmentationObjective(nn.Module):
    """Cross-entropy at the size of the crop, with the logits brought up to it.

    Labels brought down to the logits' cells instead would cost less, and lose what is thinner than a cell.

    `forward(batch, epoch)` takes `image` B,3,S,S and `target` B,S,S; pixels that are not trusted count as ignored.
    """

    def __init__(self, net: DeepLabV2) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Mapping[str, Any], epoch: int) -> dict[str, Tensor]:
        target = batch["target"]
        logits = to_pixels(self.net(batch["image"]), target.shape[-2:], self.net.stride)
        loss = pixel_loss(logits, target.masked_fill(target == UNTRUSTED, IGNORE))
        return {"loss": loss, "segmentation": loss.detach()}


def build_optimizer(nets: Sequence[DeepLabV2], settings: SegmentationSettings) -> torch.optim.Optimizer:
    """SGD over all networks given, with `head_factor` times the backbone's rate for the pyramid."""
    backbone = [p for net in nets for p in net.backbone.parameters() if p.requires_grad]
    pyramid = [p for net in nets for p in net.branches.parameters()]
    groups = [{"params": backbone, "lr": settings.lr}, {"params": pyramid, "lr": settings.lr * settings.head_factor}]
    return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
