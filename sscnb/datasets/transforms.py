"""Joint transforms of an image, its superpixel map and its mask.

A `Sample` goes through the same geometry in all its parts: superpixels and masks are resized to the nearest, images
smoothly. Every random choice comes from the generator that is passed in, so a sample depends on its seed alone,
whichever worker makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from sscnb.datasets.folder import IGNORE


@dataclass(frozen=True)
class Sample:
    """An image H,W,3 uint8 with, if wanted, superpixels H,W int32 (0..S-1) and a mask H,W uint8."""

    image: np.ndarray
    superpixels: np.ndarray | None = None
    mask: np.ndarray | None = None


def resize(sample: Sample, height: int, width: int, method: Image.Resampling = Image.Resampling.BICUBIC) -> Sample:
    """Resize all parts to H,W: the image by `method`, antialiased where it shrinks, the maps nearest."""
    if sample.image.shape[:2] == (height, width):
        return sample

    def scale(array: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.array(Image.fromarray(array).resize((width, height), how))

    maps = (sample.superpixels, sample.mask)
    return Sample(
        scale(sample.image, method),
        *(None if part is None else scale(part, Image.Resampling.NEAREST) for part in maps),
    )


def resize_long(sample: Sample, long_side: int) -> Sample:
    """Resize so that the longer side has `long_side` pixels; the aspect ratio stays."""
    height, width = sample.image.shape[:2]
    return rescale(sample, long_side / max(height, width))


def rescale(sample: Sample, factor: float) -> Sample:
    """Resize both sides by a factor; no side falls below one pixel."""
    height, width = sample.image.shape[:2]
    return resize(sample, max(1, round(height * factor)), max(1, round(width * factor)))


def pyramid(image: np.ndarray, scales: Sequence[float], long_side: int = 0) -> list[np.ndarray]:
    """Return an image at several scales, each made from the image itself.

    Args:
        image: H,W,3 uint8.
        scales: factors of the image's size, or of its size with the long side `long_side` where that is above 0.

    Returns:
        round(scale * H),round(scale * W),3 uint8 by PIL's bicubic, as the release makes its test scales; the image
        itself at a scale that changes nothing.
    """
    height, width = inner_size(image.shape[:2], long_side)
    sizes = [(max(1, round(height * scale)), max(1, round(width * scale))) for scale in scales]
    return [resize(Sample(image), *size).image for size in sizes]


def inner_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Return the H,W that an image of `size` has with the long side `long_side`; 0 leaves it as it is."""
    factor = long_side / max(size) if long_side else 1
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def flip(sample: Sample) -> Sample:
    """Mirror all parts left to right."""
    maps = (None if part is None else np.ascontiguousarray(part[:, ::-1]) for part in (sample.superpixels, sample.mask))
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), *maps)


def random_crop(sample: Sample, size: int, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
    """Cut out a square of `size` pixels at random; what the image does not fill is padding.

    A smaller image is put at a random place. Padded superpixels form one superpixel of their own (the largest id plus
    one), padded mask pixels are 255.

    Returns:
        The crop, and a bool map size,size that is True inside the image. Networks see the mean colour in the
        rest, which is 0 after normalisation.
    """
    height, width = sample.image.shape[:2]
    # A negative offset means that the image begins inside the crop.
    top = int(rng.integers(min(0, height - size), max(0, height - size) + 1))
    left = int(rng.integers(min(0, width - size), max(0, width - size) + 1))
    source = (slice(max(top, 0), max(top, 0) + size), slice(max(left, 0), max(left, 0) + size))
    target = (slice(max(-top, 0), max(-top, 0) + height), slice(max(-left, 0), max(-left, 0) + width))

    def cut(array: np.ndarray, padding: int) -> np.ndarray:
        crop = np.full((size, size, *array.shape[2:]), padding, dtype=array.dtype)
        crop[target] = array[source]
        return crop

    inside = np.zeros((size, size), dtype=bool)
    inside[target] = True
    extra = 0 if sample.superpixels is None else int(sample.superpixels.max()) + 1
    maps = ((sample.superpixels, extra), (sample.mask, IGNORE))
    crop = Sample(cut(sample.image, 0), *(None if part is None else cut(part, padding) for part, padding in maps))
    return crop, inside


def augment(
    sample: Sample,
    rng: np.random.Generator,
    *,
    resize_range: tuple[int, int] | None = None,
    scale_range: tuple[float, float] | None = None,
    crop: int,
) -> tuple[Sample, np.ndarray]:
    """Training's augmentation: a random size, flip with probability one half, random crop.

    The size is a long side drawn uniformly from `resize_range` in pixels, as the CAM networks have it, or a factor
    drawn uniformly from `scale_range`, as IRN and segmentation have it; give one of the two.
    """
    if (resize_range is None) == (scale_range is None):
        raise ValueError("give resize_range or scale_range, not both")
    if resize_range is not None:
        sample = resize_long(sample, int(rng.integers(resize_range[0], resize_range[1] + 1)))
    elif scale_range is not None:
        sample = rescale(sample, rng.uniform(*scale_range))
    if rng.random() < 0.5:
        sample = flip(sample)
    if sample.superpixels is not None:
        sample = replace(sample, superpixels=sample.superpixels.astype(np.int32))  # room for the padding's own id
    return random_crop(sample, crop, rng)
