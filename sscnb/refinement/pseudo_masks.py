"""Labels around the relation network: the uncertain ones it trains on, the pseudo-masks it ends in.

Pure functions on arrays; which network and which files is for the stages to say.
"""

import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sscnb.datasets import IGNORE
from sscnb.errors import UserError, nearest
from sscnb.evaluation import seed_from_activation
from sscnb.refinement.crf import GT_PROB, Potentials, refine_labels


def ir_label(
    activation: np.ndarray,
    classes: np.ndarray,
    image: np.ndarray,
    *,
    foreground: float = 0.30,
    background: float = 0.10,
    crf: str = "dense",
    gt_prob: float = GT_PROB,
    potentials: Potentials = Potentials(),  # noqa: B008 (frozen)
) -> np.ndarray:
    """Return the label map that inter-pixel relations are read from: sure classes, sure background, uncertain rest.

    Two seeds, a strict and a generous one, are each refined by a dense CRF and combined by `combine_seeds`.

    Args:
        activation: n,H,W floats in [0, 1], the CAMs of the classes present, at the size of the image.
        classes: n class indices, 1..254.
        image: H,W,3 uint8.
        foreground: threshold of the strict seed: what it calls a class is one.
        background: threshold of the generous seed: what it calls background is background.
        crf: "dense", or "none" to go without.
        gt_prob, potentials: of the dense CRF, see `refine_labels`.

    Returns:
        H,W uint8: 0 background, class indices, 255 uncertain.

    Raises:
        UserError: thresholds in the wrong order, shapes or ranges not as above, or the dense CRF is not installed.

    Source: IRN, with the thresholds of SSC's release.
    """
    if not 0 <= background <= foreground <= 1:
        raise UserError(
            f"thresholds are foreground {foreground} and background {background}; "
            "expected 0 <= background <= foreground <= 1."
        )
    if crf not in ("dense", "none"):
        raise UserError(f"crf is {crf!r}; {nearest(str(crf), ['dense', 'none'])}")
    if activation.shape[1:] != image.shape[:2]:
        raise UserError(f"CAMs of shape {activation.shape} and an image {image.shape}: their H,W must agree.")
    if len(classes) and not 1 <= min(classes) <= max(classes) < IGNORE:
        raise UserError(f"classes are {list(map(int, classes))}; expected indices in 1..{IGNORE - 1}.")
    names = np.array([0, *classes], np.uint8)
    places = np.arange(1, len(names))

    def seed(threshold: float) -> np.ndarray:
        labels = seed_from_activation(activation, places, threshold)
        if crf == "dense":
            labels = refine_labels(image, labels, len(names), gt_prob=gt_prob, potentials=potentials)
        return names[labels]

    return combine_seeds(seed(foreground), seed(background))


def combine_seeds(strict: np.ndarray, generous: np.ndarray) -> np.ndarray:
    """Return the strict seed's classes, background where both seeds say so, 255 elsewhere.

    Shapes: both H,W uint8 with 0 = background -> H,W uint8. Source: IRN.
    """
    return np.where(strict > 0, strict, np.where(generous > 0, IGNORE, 0)).astype(np.uint8)


def walk_scores(walked: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Bring the walk's result to the size of the image and divide it by its maximum over all classes.

    Args:
        walked: n,h,w of `random_walk` at stride 4, h = ceil(H/4) and w = ceil(W/4).
        size: H,W.

    Returns:
        n,H,W float32 in [0, 1]; all 0 where nothing was walked.

    Raises:
        UserError: the grid is not the image's at stride 4.

    Source: IRN: upsampled four times, cropped, one maximum for all classes.
    """
    height, width = size
    if walked.ndim != 3 or walked.shape[1:] != (math.ceil(height / 4), math.ceil(width / 4)):
        raise UserError(
            f"the walk's result has shape {tuple(walked.shape)}; "
            f"a {height}x{width} image has {math.ceil(height / 4)}x{math.ceil(width / 4)} cells at stride 4."
        )
    if not len(walked):
        return np.zeros((0, height, width), np.float32)
    full = F.interpolate(walked[None].float(), scale_factor=4, mode="bilinear", align_corners=False)
    # The walk is exact up to its tolerance only, so that a 0 may come out a little below.
    scores = full[0, :, :height, :width].clamp_min(0)
    maximum = scores.max()
    return (scores / maximum if maximum > 0 else scores).cpu().numpy()


def pseudo_mask(scores: np.ndarray, classes: np.ndarray, *, threshold: float = 0.25) -> np.ndarray:
    """Return the pseudo-mask: the class of highest score, or background where none exceeds `threshold`.

    Shapes: scores n,H,W of `walk_scores`; classes n indices in 1..254; result H,W uint8 palette indices.

    Raises:
        UserError: shapes or ranges not as above.

    Source: IRN and SSC's release, both with a background of .25.
    """
    return seed_from_activation(scores, classes, threshold)


def confidence_mask(
    scores: np.ndarray, mask: np.ndarray, *, threshold: float = 0.25, keep: float = 0.5, trust: str = "margin"
) -> np.ndarray:
    """Return which pixels of a pseudo-mask to trust: of every class, background included, the surest part.

    A pixel is as sure as its best score is above the second best, background counting as a class of score `threshold`.

    Args:
        scores: n,H,W that the mask was made from.
        mask: H,W, the pseudo-mask.
        threshold: that the mask was made with.
        keep: the share of each class's pixels to trust, above 0 and at most 1.
        trust: where n pixels of a class have margins, "margin" keeps those that are as sure as the ceil(keep n)-th,
            all of them, so that the choice has nothing to do with where a pixel lies. "rank" keeps floor(keep n), and
            where pixels are equally sure those that come first, row by row from the top left.

    Returns:
        H,W bool.

    Raises:
        UserError: shapes do not agree, or `keep` or `trust` is not as above.

    Source: SSC's release.
    """
    if scores.ndim != 3 or scores.shape[1:] != mask.shape:
        raise UserError(f"scores have shape {scores.shape} and the mask {mask.shape}; expected n,H,W and H,W.")
    if not 0 < keep <= 1:
        raise UserError(f"keep is {keep}; expected a share above 0 and at most 1.")
    if trust not in ("margin", "rank"):
        raise UserError(f"trust is {trust!r}; {nearest(str(trust), ['margin', 'rank'])}")
    best, second = np.full(mask.shape, threshold, np.float32), np.zeros(mask.shape, np.float32)
    for plane in scores:
        second = np.maximum(second, np.minimum(best, plane))
        best = np.maximum(best, plane)
    margin = best - second
    trusted = np.zeros(mask.shape, bool)
    for index in np.unique(mask):
        pixels = mask == index
        margins = margin[pixels]
        if trust == "rank":
            surest = np.zeros(len(margins), bool)
            surest[np.argsort(-margins, kind="stable")[: math.floor(keep * len(margins))]] = True
        else:
            last = len(margins) - math.ceil(keep * len(margins))
            surest = margins >= np.partition(margins, last)[last]
        trusted[pixels] = surest
    return trusted
