"""COCO's regions as pixels: polygons, and run lengths in both of their forms, checked before they are drawn.

pycocotools believes what it is given: run lengths of too few pixels show what lay in memory, coordinates beyond the
image's bounds end the process. Polygons are therefore bounded here before it rasterises them; run lengths are unfolded
here.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sscnb.datasets.folder import IGNORE

Region = tuple[int, Any]  # class index, or 255 for a crowd; COCO's polygons or run lengths


def draw_mask(height: int, width: int, regions: Sequence[Region]) -> np.ndarray:
    """Draw regions as a mask, H,W uint8: crowds first, then objects from the largest to the smallest.

    Among objects of one size the later one is in front.

    Raises:
        ValueError: a region is malformed, or not of this image.
    """
    drawn = [(index, inside_of(segmentation, height, width)) for index, segmentation in regions]
    mask = np.zeros((height, width), np.uint8)
    for index, inside in sorted(drawn, key=lambda region: (region[0] != IGNORE, -int(region[1].sum()))):
        mask[inside] = index
    return mask


def inside_of(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return H,W bool of COCO's polygons, or of its run lengths, compressed or not.

    Raises:
        ValueError: it is neither, or not of this image.
    """
    if isinstance(segmentation, list):
        return _polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"counts", "size"} <= segmentation.keys():
        raise ValueError("a region is neither polygons nor run lengths")
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"run lengths are of an image of {segmentation['size']}, not {[height, width]}")
    counts = segmentation["counts"]
    if isinstance(counts, str | bytes):
        counts = _unpacked(counts.encode() if isinstance(counts, str) else counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("run lengths are not whole numbers from 0 on")
    if sum(counts) != height * width:
        raise ValueError(f"run lengths are of {sum(counts)} pixels, the image has {height * width}")
    # Along columns, beginning with the zeros.
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def _polygons(polygons: list[Any], height: int, width: int) -> np.ndarray:
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise ValueError("a polygon is no list of pairs of coordinates")
        for position, value in enumerate(polygon):
            side = height if position % 2 else width
            # A margin: what is outside is cut off, as annotations that end a little beyond the border need it.
            if type(value) not in (int, float) or not math.isfinite(value) or not -side <= value <= 2 * side:
                raise ValueError(f"a polygon's coordinate is {value!r}, in an image of {width}x{height} pixels")
    # Two points are no area, and pycocotools would take four numbers for a box.
    if not (polygons := [polygon for polygon in polygons if len(polygon) >= 6]):
        return np.zeros((height, width), bool)
    from pycocotools import mask as masks

    return masks.decode(masks.merge(masks.frPyObjects(polygons, height, width))).astype(bool)


def _unpacked(text: bytes) -> list[int]:
    """Return the run lengths that COCO's text holds.

    A character is 48 and six bits: five of a number, the low ones first, and whether more follow; the last one's
    highest bit is the sign. From the fourth on a number is the difference to the one two before it.
    """
    counts: list[int] = []
    number = shift = 0
    for byte in text:
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("run lengths are damaged")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = shift = 0
    if shift:
        raise ValueError("run lengths are cut off")
    return counts
