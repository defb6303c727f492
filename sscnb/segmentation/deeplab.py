"""DeepLabV2: the segmentation network that pseudo-masks are for, its loss, and its inference at several scales.

Chen et al., PAMI 2018: parallel dilated convolutions over a backbone's last map, summed. Any staged backbone will do;
its batch-norm statistics stay those of ImageNet, as DeepLab keeps them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.datasets import IGNORE, Sample, resize_long
from sscnb.errors import UserError
from sscnb.networks import UNTRUSTED, Backbone, build_backbone, to_tensor
from sscnb.refinement import refine_probabilities
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
    )
    return DeepLabV2(backbone, num_labels, settings.rates)


def to_pixels(logits: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Bring logits B,L,h,w to the pixels B,L,H,W that they were computed from, bilinearly."""
    full = F.interpolate(logits, scale_factor=stride, mode="bilinear", align_corners=False)
    return full[..., : size[0], : size[1]]


def pixel_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels with a label; 0, with gradient 0, where there are none.

    Shapes: logits B,L,H,W; target B,H,W integers in 0..L-1 or 255; weight B,H,W, the pixels' weights in the sum alone:
    it is divided by their number, so that a weight above 1 counts for more.
    """
    losses = F.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        losses = losses * weight
    return losses.sum() / (target != IGNORE).sum().clamp_min(1)


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
    """SGD with a faster rate for the pyramid than for the backbone, over all networks given."""
    backbone = [p for net in nets for p in net.backbone.parameters() if p.requires_grad]
    pyramid = [p for net in nets for p in net.branches.parameters()]
    groups = [{"params": backbone, "lr": settings.lr}, {"params": pyramid, "lr": settings.lr * settings.head_factor}]
    return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)


@torch.no_grad()
def segment_image(net: nn.Module, image: np.ndarray, *, scales: Sequence[float] = (1.0,), flip: bool = True) -> Tensor:
    """Return the class probabilities of one image: the mean of the softmax over scales and mirror images.

    The whole image at once, at every scale; sides are rounded to whole cells. One pass after the other, and sums at
    the image's own size alone, so that memory is that of one pass and of two such maps.

    Args:
        net: images 1,3,H,W to logits 1,L,h,w of its `stride`, such as a `DeepLabV2` in evaluation mode.
        image: H,W,3 uint8.

    Returns:
        L,H,W float32 on the network's device, summing to 1 over L.
    """
    size, stride = image.shape[:2], net.stride
    pixels = to_tensor(image)[None].to(next(net.parameters()).device)
    total: Tensor | None = None
    for scale in scales:
        cells = [max(1, round(side * scale / stride)) * stride for side in size]
        scaled = F.interpolate(pixels, size=cells, mode="bicubic", align_corners=False, antialias=scale < 1)
        for mirrored in (False, True) if flip else (False,):
            logits = net(scaled.flip(-1) if mirrored else scaled).float()
            logits = logits.flip(-1) if mirrored else logits
            part = F.interpolate(logits, size=size, mode="bilinear", align_corners=False).softmax(1)
            total = part if total is None else total.add_(part)
            del logits, part
    if total is None:
        raise UserError("scales is empty; expected at least one factor, such as 1.0.")
    return total[0] / (len(scales) * (1 + flip))


def strongest(probabilities: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return the class of highest probability at another size, H,W uint8; ties go to the first.

    Class by class, so that a large photograph does not need all its L planes at once.

    Shapes: probabilities L,h,w; size H,W.
    """
    best: Tensor | None = None
    winner = torch.zeros(size, dtype=torch.uint8, device=probabilities.device)
    for index, plane in enumerate(probabilities):
        if plane.shape != size:
            plane = F.interpolate(plane[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        if best is None:
            best = plane.clone()
            continue
        higher = plane > best
        winner[higher] = index
        best = torch.maximum(best, plane)
    return winner.cpu().numpy()


def predict_mask(net: nn.Module, image: np.ndarray, settings: SegmentationSettings, *, limit: int = 0) -> np.ndarray:
    """Return the mask of an image as the settings ask for it: scales, flip, working size and dense CRF.

    Args:
        net, image: as for `segment_image`.
        limit: shrink larger images to this long side while they are worked on; 0 does not.

    Returns:
        H,W uint8, 0 = background.

    Raises:
        UserError: a dense CRF is asked for and not installed.
    """
    small = image
    side = settings.long_side or (min(limit, max(image.shape[:2])) if limit else 0)
    if side:
        small = resize_long(Sample(image), side).image
    probabilities = segment_image(net, small, scales=settings.test_scales, flip=settings.flip)
    if settings.crf == "dense":
        probabilities = torch.from_numpy(refine_probabilities(small, probabilities.cpu().numpy()))
    return strongest(probabilities, image.shape[:2])
