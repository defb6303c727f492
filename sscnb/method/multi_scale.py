"""CAMs after training: maps of several scales and the flip pair, and the two activations that are made of them.

A network's maps are kept as small as they come. From them follow the activation at the image's full size, for seeds and
relation labels, and the one on a coarse grid, for the random walk: each is interpolated and normalised by itself, so
that neither is a stretched copy of the other (FACTS, sections 1 and 6; the scheme is IRN's).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sscnb.errors import UserError
from sscnb.method.cam import CAMNet, class_activation


@torch.no_grad()
def scale_maps(net: CAMNet, scales: Sequence[Tensor], *, flip: bool = True) -> tuple[Tensor, list[Tensor]]:
    """Return rectified class maps of one batch of images at several scales.

    Args:
        scales: the same images at each scale, B,3,H_s,W_s, ImageNet-normalised.
        flip: add the maps of the mirrored images, mirrored back; ReLU comes before that sum (release).

    Raises:
        UserError: there is no scale.

    Returns:
        Logits B,C of the first scale (mean of the flip pair), and for every scale maps B,C,h_s,w_s >= 0 at the
        network's own stride, not normalised.
    """
    logits, maps = None, []
    for images in scales:
        scores, features = net(torch.cat([images, images.flip(-1)]) if flip else images)
        positive = F.relu(features)
        if flip:
            plain, mirrored = positive.chunk(2)
            positive = plain + mirrored.flip(-1)
            scores = sum(scores.chunk(2)) / 2
        logits = scores if logits is None else logits
        maps.append(positive)
    if logits is None:
        raise UserError("scales is empty; expected at least one factor, such as 1.0.")
    return logits, maps


def full_activation(
    maps: Sequence[Tensor], inner: tuple[int, int], *, stride: int = 16, size: tuple[int, int] | None = None
) -> Tensor:
    """Return the activation at full size (Eq. 1): the sum over scales, each class divided by its maximum.

    The maps of every scale are brought to the size that the image has when it is padded to multiples of the stride,
    which is what whole cells cover, and then cropped: cells lie where the network saw them.

    Args:
        maps: n,h_s,w_s of each scale, as from `scale_maps`.
        inner: H,W of the images that the network saw at scale 1.
        stride: of the network's map, in pixels.
        size: H,W of the result, where it is another one.

    Returns:
        n,H,W in [0, 1].
    """
    height, width = (-(-side // stride) * stride for side in inner)
    total = _sum(maps, (height, width))[:, : inner[0], : inner[1]]
    if size is not None and size != inner:
        total = _bilinear(total, size)
    return class_activation(total)


def grid_activation(maps: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """Return the activation on a grid over the whole image, ceil(H/4),ceil(W/4) cells for the random walk.

    Args:
        maps: n,h_s,w_s of each scale, as from `scale_maps`.

    Returns:
        n,h,w in [0, 1].
    """
    return class_activation(_sum(maps, grid))


def _sum(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    return torch.stack([_bilinear(of_scale, size) for of_scale in maps]).sum(0)


def _bilinear(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if not len(maps):  # an image without any class
        return maps.new_zeros(0, *size)
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
