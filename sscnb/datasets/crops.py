"""Crops of a share of an image's area, brought to one size: what segmentation trains on.

An object fills about as much of such a crop as of the image, whatever the image's size, and nothing is padded.
"""

import math

import numpy as np
from PIL import Image

from sscnb.datasets.transforms import Sample, flip, resize

TRIES = 10  # boxes drawn before the middle of the image is taken


def area_box(
    height: int, width: int, rng: np.random.Generator, *, area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Draw a box inside an image H,W.

    Its share of the image's area is uniform in `area`; its width over its height is in `ratio`, uniform in the
    logarithm, so that wide and tall are equally likely. A box that does not fit is drawn anew; after ten, as happens
    to panoramas, it is the largest in the middle whose ratio is nearest to the image's own.

    Returns:
        Top, left, height and width in pixels.
    """
    for _ in range(TRIES):
        size = height * width * rng.uniform(*area)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        h, w = max(1, round(math.sqrt(size / shape))), max(1, round(math.sqrt(size * shape)))
        if h <= height and w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    shape = min(max(width / height, ratio[0]), ratio[1])
    h, w = min(height, max(1, round(width / shape))), min(width, max(1, round(height * shape)))
    return (height - h) // 2, (width - w) // 2, h, w


def augment_area(
    sample: Sample, rng: np.random.Generator, *, area: tuple[float, float], ratio: tuple[float, float], crop: int
) -> tuple[Sample, np.ndarray]:
    """Cut out a share of the image's area, resize it to a square, and mirror it with probability one half.

    The image is resized bilinearly, as the release does, the maps to the nearest; sides need not keep their ratio.

    Returns:
        As `augment`: the crop, and a bool map crop,crop of what lies inside the image, which is all of it.
    """
    height, width = sample.image.shape[:2]
    top, left, h, w = area_box(height, width, rng, area=area, ratio=ratio)
    box = (slice(top, top + h), slice(left, left + w))
    maps = (None if part is None else part[box] for part in (sample.superpixels, sample.mask))
    cut = Sample(sample.image[box], *maps)
    cut = resize(cut, crop, crop, Image.Resampling.BILINEAR)
    return flip(cut) if rng.random() < 0.5 else cut, np.ones((crop, crop), bool)
