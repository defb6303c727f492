"""Joint transforms: image, superpixels and mask stay on top of each other; a drawn image's values are coordinates."""

import numpy as np
import pytest
import torch
from PIL import Image

from sscnb.datasets import IGNORE
from sscnb.datasets.transforms import (
    Sample,
    augment,
    flip,
    inner_size,
    pyramid,
    random_crop,
    rescale,
    resize,
    resize_long,
)
from sscnb.networks.tensors import IMAGENET_MEAN, IMAGENET_STD, to_image, to_tensor

HEIGHT, WIDTH, STEP = 42, 60, 4


def coordinates(height: int = HEIGHT, width: int = WIDTH) -> Sample:
    """Return a sample whose image holds (4 x, 4 y), whose superpixel ids y W + x, and whose mask x."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([STEP * x, STEP * y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    return Sample(image, (y * width + x).astype(np.int32), x.astype(np.uint8))


def same(one: Sample, other: Sample) -> bool:
    return all(
        np.array_equal(a, b)
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
        if a is not None or b is not None
    )


def disagreement(sample: Sample, inside: np.ndarray | None = None) -> float:
    """Return by how many source pixels image, superpixels and mask differ at most, away from the border."""
    inside = np.ones(sample.mask.shape, bool) if inside is None else inside
    y, x = np.divmod(sample.superpixels, WIDTH)
    # Bicubic overshoots at the border of a ramp; there is no border within.
    within = inside & (x > 2) & (x < WIDTH - 3) & (y > 2) & (y < HEIGHT - 3)
    assert within.any()
    apart = [
        np.abs(sample.image[..., 0] / STEP - x)[within].max(),
        np.abs(sample.image[..., 1] / STEP - y)[within].max(),
        np.abs(sample.mask.astype(int) - x)[within].max(),
    ]
    return max(apart)


@pytest.mark.parametrize("size", [(42, 60), (84, 120), (63, 75), (29, 41), (21, 30)])
def test_resizing_keeps_the_parts_together(size):
    resized = resize(coordinates(), *size)
    assert resized.image.shape == (*size, 3) and resized.superpixels.shape == resized.mask.shape == size
    assert disagreement(resized) <= 1


def test_nearest_invents_no_ids():
    resized = resize(coordinates(), 91, 133)
    assert set(np.unique(resized.superpixels)) <= set(range(HEIGHT * WIDTH))
    assert resized.superpixels.dtype == np.int32 and resized.mask.dtype == np.uint8


@pytest.mark.parametrize(("long_side", "size"), [(120, (84, 120)), (30, (21, 30)), (60, (42, 60)), (50, (35, 50))])
def test_long_side_keeps_the_ratio(long_side, size):
    assert resize_long(coordinates(), long_side).mask.shape == size
    upright = Sample(*(np.swapaxes(part, 0, 1).copy() for part in vars(coordinates()).values()))
    assert resize_long(upright, long_side).mask.shape == size[::-1]


def test_no_side_vanishes():
    assert rescale(coordinates(10, 60), 0.01).image.shape == (1, 1, 3)
    assert rescale(coordinates(), 1.5).mask.shape == (63, 90)


def test_flip_by_hand():
    sample = Sample(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), np.array([[4, 7]], np.int32), np.array([[1, 2]]))
    flipped = flip(sample)
    assert flipped.image.tolist() == [[[3, 4, 5], [0, 1, 2]]]
    assert flipped.superpixels.tolist() == [[7, 4]] and flipped.mask.tolist() == [[2, 1]]


def test_flip_twice_is_nothing():
    assert not same(flip(coordinates()), coordinates())
    assert same(flip(flip(coordinates())), coordinates())
    assert flip(Sample(coordinates().image)).mask is None


@pytest.mark.parametrize("size", [30, 42, 50, 60, 80])
def test_crop_is_a_part_of_the_image(size):
    sample, places = coordinates(), set()
    for seed in range(20):
        crop, inside = random_crop(sample, size, np.random.default_rng(seed))
        assert crop.image.shape == (size, size, 3) and inside.shape == (size, size)
        assert inside.sum() == min(size, HEIGHT) * min(size, WIDTH)  # as much of the image as fits
        y, x = np.divmod(crop.superpixels[inside], WIDTH)
        assert (crop.image[inside][:, 0] == STEP * x).all() and (crop.image[inside][:, 1] == STEP * y).all()
        assert (crop.mask[inside] == x).all()
        rows, columns = np.nonzero(inside)
        assert len(set(rows - y)) == len(set(columns - x)) == 1  # shifted, not distorted
        places.add((rows[0] - y[0], columns[0] - x[0]))
    assert len(places) > 5


def test_padding_rules():
    sample = coordinates()
    crop, inside = random_crop(sample, 80, np.random.default_rng(3))
    assert (crop.superpixels[~inside] == HEIGHT * WIDTH).all()  # one id of its own, the largest plus one
    assert (crop.mask[~inside] == IGNORE).all()
    tensor = to_tensor(crop.image, inside)
    assert (tensor[:, torch.from_numpy(~inside)] == 0).all()
    assert (tensor[:, torch.from_numpy(inside)] != 0).any()
    # Without padding 0 is an ordinary value of a pixel, far from the mean.
    assert to_tensor(crop.image)[0, 0, 0] < -2


def test_crop_of_the_images_own_size_is_the_image():
    sample = coordinates(40, 40)
    crop, inside = random_crop(sample, 40, np.random.default_rng(0))
    assert same(crop, sample) and inside.all()


def test_crop_reaches_every_place():
    sample = coordinates(5, 5)
    small = {int(random_crop(sample, 3, np.random.default_rng(s))[0].superpixels[0, 0]) for s in range(200)}
    assert small == {y * 5 + x for y in range(3) for x in range(3)}
    large = {tuple(np.argwhere(random_crop(sample, 7, np.random.default_rng(s))[1])[0]) for s in range(200)}
    assert large == {(y, x) for y in range(3) for x in range(3)}


def test_augmentation_keeps_the_parts_together():
    flipped = 0
    for seed in range(30):
        crop, inside = augment(coordinates(), np.random.default_rng(seed), resize_range=(50, 90), crop=64)
        assert disagreement(crop, inside) <= 1
        row = crop.mask[inside.argmax(axis=0).max()][inside.any(axis=0)].astype(int)
        flipped += row[0] > row[-1]
    assert 5 < flipped < 25


def test_augmentation_draws_the_long_side_from_the_whole_range():
    blank = Sample(np.zeros((30, 20, 3), np.uint8))
    drawn = {
        int(augment(blank, np.random.default_rng(s), resize_range=(20, 24), crop=40)[1].any(axis=1).sum())
        for s in range(100)
    }
    assert drawn == {20, 21, 22, 23, 24}


def test_augmentation_depends_on_the_generator_alone():
    options = {"resize_range": (50, 90), "crop": 48}
    first, _ = augment(coordinates(), np.random.default_rng(7), **options)
    np.random.seed(1)
    torch.manual_seed(1)
    again, _ = augment(coordinates(), np.random.default_rng(7), **options)
    other, _ = augment(coordinates(), np.random.default_rng(8), **options)
    assert same(first, again) and not same(first, other)


def test_superpixels_of_eight_bits_have_room_for_the_padding():
    sample = Sample(np.zeros((20, 20, 3), np.uint8), np.full((20, 20), 255, np.uint8))
    crop, inside = augment(sample, np.random.default_rng(0), resize_range=(20, 20), crop=30)
    assert (crop.superpixels[~inside] == 256).all() and (crop.superpixels[inside] == 255).all()


def test_normalisation_by_hand():
    image = np.array([[[255, 0, 51]]], np.uint8)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    tensor = to_tensor(image)
    assert tensor.shape == (3, 1, 1) and tensor.dtype == torch.float32
    assert tensor.flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406) and IMAGENET_STD == (0.229, 0.224, 0.225)


def test_to_image_undoes_to_tensor():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_image(to_tensor(values)), values)


def test_to_image_clips_and_shows_padding_as_the_mean():
    assert to_image(torch.full((3, 1, 1), 99.0)).tolist() == [[[255, 255, 255]]]
    assert to_image(torch.full((3, 1, 1), -99.0)).tolist() == [[[0, 0, 0]]]
    assert to_image(torch.zeros(3, 1, 1)).tolist() == [[[124, 116, 104]]]


def test_augment_draws_a_factor():
    sample = Sample(np.zeros((40, 60, 3), np.uint8), mask=np.ones((40, 60), np.uint8))
    areas = []
    for seed in range(200):
        crop, _ = augment(sample, np.random.default_rng(seed), scale_range=(0.5, 1.0), crop=64)
        rows, columns = (crop.mask == 1).any(1).sum(), (crop.mask == 1).any(0).sum()
        assert abs(rows / columns - 2 / 3) < 0.05 and 20 <= rows <= 40
        areas.append(rows)
    assert min(areas) <= 21 and max(areas) >= 39
    with pytest.raises(ValueError):
        augment(sample, np.random.default_rng(0), crop=64)


def test_a_pyramid_is_made_by_pil_from_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    whole, half, larger = pyramid(image, (1.0, 0.5, 1.5))
    assert whole is image
    # round(6.5) = 6 and round(10.5) = 10, to the even number as numpy's; PIL takes the width first
    assert np.array_equal(half, np.array(Image.fromarray(image).resize((10, 6), Image.Resampling.BICUBIC)))
    assert np.array_equal(larger, np.array(Image.fromarray(image).resize((32, 20), Image.Resampling.BICUBIC)))


def test_a_pyramid_with_a_long_side_is_one_resize_a_scale():
    image = np.random.default_rng(0).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    found = pyramid(image, (1.0, 2.0), long_side=30)
    assert inner_size((30, 60), 30) == (15, 30) and inner_size((30, 60), 0) == (30, 60)
    assert inner_size((2, 900), 90) == (1, 90)
    assert found[0].shape == (15, 30, 3) and found[1] is image  # up again from half the size would blur
