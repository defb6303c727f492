"""From a trained segmentation network to the mask of an image: sizes, mirror images, and how they are put together."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from sscnb.datasets import Sample, resize, resize_long
from sscnb.errors import UserError
from sscnb.networks import products_in, to_tensor
from sscnb.refinement import refine_probabilities
from sscnb.settings import SegmentationSettings


@torch.no_grad()
def segment_image(
    net: nn.Module,
    image: np.ndarray,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = True,
    interpolation: str = "bicubic",
    fuse: str = "mean",
) -> Tensor:
    """Return the scores of one image's pixels: over scales and mirror images, their mean or their maximum.

    The whole image at once, at every scale; sides are rounded to whole cells. One pass after the other, and sums at
    the image's own size alone, so that memory is that of one pass and of two such maps.

    Args:
        net: images 1,3,H,W to logits 1,L,h,w of its `stride`, such as a `DeepLabV2` in evaluation mode.
        image: H,W,3 uint8.
        interpolation: "bicubic", antialiased where it shrinks, or "bilinear", which never is, as in the release.
        fuse: "mean" of the probabilities, or "max" of the logits, pixel by pixel and class by class.

    Returns:
        L,H,W float32 on the network's device: probabilities that sum to 1 over L, or logits.

    Raises:
        UserError: there is no scale.
    """
    size, stride = image.shape[:2], net.stride
    pixels = to_tensor(image)[None].to(next(net.parameters()).device)
    total: Tensor | None = None
    for scale in scales:
        cells = [max(1, round(side * scale / stride)) * stride for side in size]
        smooth = interpolation == "bicubic" and scale < 1
        scaled = F.interpolate(pixels, size=cells, mode=interpolation, align_corners=False, antialias=smooth)
        for mirrored in (False, True) if flip else (False,):
            logits = net(scaled.flip(-1) if mirrored else scaled).float()
            logits = logits.flip(-1) if mirrored else logits
            part = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            if fuse == "max":
                total = part if total is None else torch.maximum(total, part, out=total)
            else:
                total = part.softmax(1) if total is None else total.add_(part.softmax(1))
            del logits, part
    if total is None:
        raise UserError("scales is empty; expected at least one factor, such as 1.0.")
    return total[0] if fuse == "max" else total[0] / (len(scales) * (1 + flip))


def strongest(scores: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return the class of the highest score at another size, H,W uint8; ties go to the first.

    The scores are brought to that size bilinearly and compared there, class by class, so that a large photograph does
    not need all its L planes at once.

    Shapes: scores L,h,w; size H,W.
    """
    best: Tensor | None = None
    winner = torch.zeros(size, dtype=torch.uint8, device=scores.device)
    for index, plane in enumerate(scores):
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
    """Return the mask of an image as the settings ask for it: sizes, flip, how they are put together, dense CRF.

    With `test_size` the network sees a square of that side, whatever the image's shape, and the scores are brought
    back bilinearly: to the image's size before the argmax, and before the CRF, which takes their softmax. It computes
    in float32, on a GPU with products in TF32 where that is the settings' precision.

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
    seen, square = small, settings.test_size
    if square:
        seen = resize(Sample(small), square, square, Image.Resampling.BILINEAR).image
    with products_in(settings.precision, next(net.parameters()).device):
        scores = segment_image(
            net,
            seen,
            scales=settings.test_scales,
            flip=settings.flip,
            interpolation=settings.interpolation,
            fuse=settings.fuse,
        )
    if settings.crf == "dense":
        scores = torch.from_numpy(refine_probabilities(small, _probabilities(scores, small.shape[:2], settings.fuse)))
    return strongest(scores, image.shape[:2])


def _probabilities(scores: Tensor, size: tuple[int, int], fuse: str) -> np.ndarray:
    if scores.shape[1:] != size:
        scores = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)[0]
    return (scores.softmax(0) if fuse == "max" else scores).cpu().numpy()
