"""The relation network of IRN (Ahn, Cho and Kwak, CVPR 2019): class boundaries, and displacements to object centres.

Two heads on the maps of a frozen backbone. They share nothing, so that pseudo-masks, which need the boundaries only,
come out the same with and without the other head.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.errors import UserError
from sscnb.networks import Backbone

STRIDE = 4  # of both outputs


class IRN(nn.Module):
    """Predict boundaries and displacements on a grid of one cell for 4x4 pixels.

    Images of any size: they are padded at the right and bottom with zeros, the mean colour, to whole cells of the
    backbone's coarsest map. All five maps then cover the same area, whichever way a backbone rounds; they are brought
    to a common stride by whole factors, bilinearly or by averaging; what lies beyond the image is cut off at the end.

    Args:
        backbone: of output stride 16 in IRN; frozen in place.
        displacement: False leaves the second head out. The edge head is drawn first and so starts the same from
            the same seed.

    Attributes:
        edge, displacement: the two heads, whose parameters IRN trains at different rates (.1 and 1).

    Shape: images B,3,H,W, ImageNet-normalised -> edge logits B,1,h,w and displacements B,2,h,w in cells, (y, x), or
    None, with h = ceil(H/4), w = ceil(W/4). In evaluation mode the displacements are freed of their mean.
    """

    def __init__(self, backbone: Backbone, *, displacement: bool = True) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.edge = _EdgeHead(backbone.channels, backbone.strides)
        self.displacement = _DisplacementHead(backbone.channels, backbone.strides) if displacement else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        height, width = grid_size(*images.shape[-2:])
        maps = self._features(self.pad(images))
        edge = self.edge(maps)[..., :height, :width]
        if self.displacement is None:
            return edge, None
        return edge, self.displacement(maps)[..., :height, :width]

    def edge_logits(self, images: Tensor, *, least: int = 0) -> Tensor:
        """Return the first output alone, B,1,h,w, of images padded to a side of `least` pixels or more."""
        height, width = grid_size(*images.shape[-2:])
        return self.edge(self._features(self.pad(images, least)))[..., :height, :width]

    def pad(self, images: Tensor, least: int = 0) -> Tensor:
        """Return the images with zeros at the right and bottom, B,3,H',W'.

        Each side for itself becomes the next multiple of the output stride that is neither below the image's nor
        below `least`: 512 makes 512x512 of a 500x375 image, and 704x512 of one of 700x400.
        """
        multiple = max(self.backbone.strides)
        height, width = (-(-max(side, least) // multiple) * multiple for side in images.shape[-2:])
        return F.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))

    def _features(self, images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return self.backbone(images)


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return the rows and columns of the stride-4 grid that covers an image of H,W pixels."""
    return math.ceil(height / STRIDE), math.ceil(width / STRIDE)


@torch.no_grad()
def edge_map(net: IRN, image: Tensor, *, pad: int = 512) -> Tensor:
    """Return the boundary probabilities of one image: sigmoid of the mean logits over the image and its mirror image.

    Args:
        image: 3,H,W, ImageNet-normalised, on the network's device.
        pad: both are padded with zeros at the right and bottom to sides of this many pixels; 0 only to whole cells of
            the coarsest map, to which a larger side is padded too (see `IRN.pad`). The zeros take part in the
            statistics of the group norms, so that edges depend on it.

    Returns:
        h,w float32 in [0, 1] at stride 4, h = ceil(H/4), w = ceil(W/4).

    Source: IRN. As there, the mirror image is padded after it was mirrored: unless W is a multiple of 4, its cells lie
    up to three pixels beside the image's.
    """
    # One after the other: half the memory of a batch of two.
    logits = [net.edge_logits(x, least=pad).float() for x in (image[None], image.flip(-1)[None])]
    return ((logits[0] + logits[1].flip(-1)) / 2).sigmoid()[0, 0]


@torch.no_grad()
def set_mean_displacement(net: IRN, batches: Iterable[Tensor]) -> Tensor:
    """Measure the mean displacement over the training images and have the network subtract it in evaluation mode.

    Only differences of displacements are trained, hence their common offset is arbitrary.

    Args:
        batches: B,3,H,W each, normalised, on the network's device.

    Returns:
        (y, x) in cells.

    Raises:
        UserError: the network has no displacement head, or there are no images.

    Source: IRN.
    """
    head = net.displacement
    if head is None:
        raise UserError("this relation network was built with displacement=False: it has no mean displacement.")
    total, cells = head.mean.new_zeros(2, dtype=torch.float64), 0
    head.mean.zero_()
    for images in batches:
        displacement = net(images)[1]
        total += displacement.sum((0, 2, 3), dtype=torch.float64)
        cells += displacement.numel() // 2
    if not cells:
        raise UserError("no images to measure the mean displacement on.")
    head.mean.copy_(total / cells)
    return head.mean.clone()


def _branch(inputs: int, outputs: int, groups: int, stride: int, target: int) -> nn.Sequential:
    """Return layers that bring B,inputs,h,w at `stride` to B,outputs,h,w at `target`, both powers of two."""
    layers = [nn.Conv2d(inputs, outputs, 1, bias=False), nn.GroupNorm(groups, outputs)]
    if stride < target:
        # Before the convolution: it commutes with the mean, and VGG's stem has as many cells as the image has pixels.
        layers.insert(0, nn.AvgPool2d(target // stride))
    if stride > target:
        layers.append(nn.Upsample(scale_factor=stride // target, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class _EdgeHead(nn.Module):
    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        pairs = zip(channels, strides, strict=True)
        self.branches = nn.ModuleList(_branch(inputs, 32, 4, stride, STRIDE) for inputs, stride in pairs)
        self.output = nn.Conv2d(32 * len(channels), 1, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        parts = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return self.output(torch.cat(parts, dim=1))


class _DisplacementHead(nn.Module):
    mean: Tensor

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        # Outputs, groups and stride of each branch: the deep three meet at stride 8 before they join the shallow two.
        shapes = [(64, 8, 4), (128, 16, 4), (256, 16, 8), (256, 16, 8), (256, 16, 8)]
        self.branches = nn.ModuleList(
            _branch(inputs, outputs, groups, stride, target)
            for inputs, stride, (outputs, groups, target) in zip(channels, strides, shapes, strict=True)
        )
        self.deep = _branch(3 * 256, 256, 16, 8, STRIDE)
        self.output = nn.Sequential(_branch(64 + 128 + 256, 256, 16, STRIDE, STRIDE), nn.Conv2d(256, 2, 1, bias=False))
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, maps: list[Tensor]) -> Tensor:
        first, second, *deep = (branch(x) for branch, x in zip(self.branches, maps, strict=True))
        displacement = self.output(torch.cat([first, second, self.deep(torch.cat(deep, dim=1))], dim=1))
        return displacement if self.training else displacement - self.mean.view(2, 1, 1)
