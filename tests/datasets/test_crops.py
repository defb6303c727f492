"""Crops of a share of the area: geometry, and parts that stay on top of each other."""

import math

import numpy as np
import pytest
from PIL import Image

from sscnb.datasets.crops import area_box, augment_area
from sscnb.datasets.transforms import Sample

AREA, RATIO = (0.5, 0.75), (3 / 4, 4 / 3)


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (400, 400)])
def test_share_and_ratio_of_the_boxes(size):
    rng = np.random.default_rng(0)
    boxes = np.array([area_box(*size, rng, area=AREA, ratio=RATIO) for _ in range(2000)])
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= size[0]).all() and (left + width <= size[1]).all()
    share, ratio = height * width / (size[0] * size[1]), width / height
    # Sides are whole pixels, so half a pixel in some 300 may be missing.
    assert 0.497 < share.min() < 0.51 and 0.74 < share.max() < 0.753
    assert ratio.min() > 0.745 and ratio.max() < 1.345
    assert top.min() == 0 and (top + height).max() == size[0] and left.min() == 0 and (left + width).max() == size[1]


def test_shares_are_uniform_and_ratios_in_the_logarithm():
    rng = np.random.default_rng(1)
    boxes = np.array([area_box(1000, 1000, rng, area=(0.2, 0.4), ratio=RATIO) for _ in range(4000)])
    share = boxes[:, 2] * boxes[:, 3] / 1e6
    quantiles = np.quantile(share, [0.25, 0.5, 0.75])
    assert np.abs(quantiles - [0.25, 0.3, 0.35]).max() < 0.006
    ratio = np.log(boxes[:, 3] / boxes[:, 2]) / math.log(4 / 3)
    assert np.abs(np.quantile(ratio, [0.25, 0.5, 0.75]) - [-0.5, 0, 0.5]).max() < 0.06


def test_what_fits_no_box_gives_its_middle():
    rng = np.random.default_rng(0)
    assert area_box(30, 600, rng, area=AREA, ratio=RATIO) == (0, 280, 30, 40)
    assert area_box(600, 30, rng, area=AREA, ratio=RATIO) == (280, 0, 40, 30)
    assert area_box(1, 1, rng, area=AREA, ratio=RATIO) == (0, 0, 1, 1)


def test_the_parts_stay_together_and_half_are_mirrored():
    y, x = np.mgrid[:60, :80]
    sample = Sample(np.stack([2 * x, 2 * y, 0 * x], -1).astype(np.uint8), (y * 80 + x).astype(np.int32), x.astype("u1"))
    mirrored = 0
    for seed in range(40):
        crop, inside = augment_area(sample, np.random.default_rng(seed), area=AREA, ratio=RATIO, crop=96)
        assert crop.image.shape == (96, 96, 3) and crop.superpixels.shape == crop.mask.shape == (96, 96)
        assert inside.all() and crop.superpixels.dtype == np.int32
        rows, columns = np.divmod(crop.superpixels, 80)
        assert np.abs(crop.image[..., 0] / 2 - columns).max() <= 1 and np.abs(crop.image[..., 1] / 2 - rows).max() <= 1
        assert np.array_equal(crop.mask, columns)
        mirrored += crop.mask[0, 0] > crop.mask[0, -1]
    assert 10 < mirrored < 30


def test_the_image_is_resized_bilinearly():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    top, left, height, width = area_box(40, 50, np.random.default_rng(3), area=AREA, ratio=RATIO)
    crop = augment_area(Sample(image), np.random.default_rng(3), area=AREA, ratio=RATIO, crop=64)[0].image
    cut = Image.fromarray(image[top : top + height, left : left + width])
    expected = np.array(cut.resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(crop, expected) or np.array_equal(crop[:, ::-1], expected)
