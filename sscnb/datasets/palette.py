"""The colour palette of PASCAL VOC masks, and masks written with it."""

import os

import numpy as np
from PIL import Image

from sscnb.files import replacing


def voc_palette() -> list[int]:
    """Return VOC's palette as 768 integers: R, G, B of entry 0, then of entry 1, up to 255.

    An entry's index gives its colour: bits 0, 3, 6 make red, bits 1, 4, 7 green and bits 2, 5 blue, each from the
    high bit down (the development kit of the PASCAL VOC challenge). Entry 0 is black, 255 the cream of ignored pixels.
    """
    palette = []
    for index in range(256):
        for channel in range(3):
            palette.append(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)))
    return palette


def save_mask(path: str | os.PathLike, mask: np.ndarray) -> None:
    """Write a mask (H, W) of integers 0..255 as a palette PNG, whole or not at all; a pixel's value is its class.

    Raises:
        ValueError: the mask is not two-dimensional or has a value outside 0..255.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer) or mask.min() < 0 or mask.max() > 255:
        raise ValueError(f"a mask is (H, W) integers in 0..255, not {mask.dtype} of shape {mask.shape}")
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.putpalette(voc_palette())  # turns the picture into mode P
    with replacing(path) as temporary:
        picture.save(temporary)
