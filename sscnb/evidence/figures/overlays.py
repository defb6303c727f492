"""One picture: masks, activations, outlines and cells drawn over an image, all H,W,3 uint8."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from sscnb.datasets import IGNORE, Dataset, voc_palette
from sscnb.evidence.figures.style import ACTIVATION

MARK = (255, 220, 0)  # yellow, brighter than every colour of a class


def colour_mask(mask: np.ndarray) -> np.ndarray:
    """Return a mask H,W of class indices as colours H,W,3 uint8: VOC's palette, ignored pixels light grey."""
    palette = np.array(voc_palette(), dtype=np.uint8).reshape(256, 3)
    palette[IGNORE] = 224
    return palette[mask]


def overlay_mask(image: np.ndarray, mask: np.ndarray, *, opacity: float = 0.6) -> np.ndarray:
    """Lay a mask's colours over an image; background and ignored pixels stay as they are."""
    shown = ((mask != 0) & (mask != IGNORE))[..., None] * opacity
    return (image * (1 - shown) + colour_mask(mask) * shown).astype(np.uint8)


def truth(dataset: Dataset, image_id: str) -> np.ndarray:
    """Return an image under its true mask, for looking at; plain grey where it has none."""
    image = dataset.image(image_id)
    if not dataset.mask_path(image_id).is_file():
        return np.full_like(image, 224)
    return overlay_mask(image, dataset.mask(image_id))


def overlay_activation(image: np.ndarray, activation: np.ndarray, *, opacity: float = 0.65) -> np.ndarray:
    """Lay an activation H,W in [0, 1] over an image, as a heat map over its grey version."""
    heat = matplotlib.colormaps[ACTIVATION](np.clip(activation, 0, 1))[..., :3] * 255
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    return (grey * (1 - opacity) + heat * opacity).astype(np.uint8)


def overlay_boundaries(image: np.ndarray, regions: np.ndarray, colour: Sequence[int] = MARK) -> np.ndarray:
    """Draw the boundaries of regions H,W onto an image."""
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    drawn = image.copy()
    drawn[edge] = colour
    return drawn


def mark_cell(image: np.ndarray, cell: tuple[int, int], colour: Sequence[int] = MARK) -> np.ndarray:
    """Mark a pixel (y, x) of an image and the pixels around it."""
    y, x = cell
    drawn = image.copy()
    drawn[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = colour
    return drawn


def at_size(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image H,W,3 at the size of a map computed from it."""
    return np.array(Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
