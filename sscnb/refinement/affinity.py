"""Affinities between nearby pixels: pairs, the paths between them, and the strongest edge on each path.

The method is that of IRN (Ahn, Cho and Kwak, CVPR 2019). Paths are followed by shifting the edge map, so that nothing
here grows with the square of the image.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sscnb.errors import UserError


def pair_offsets(radius: int) -> Tensor:
    """Return the offsets (y, x) from a pixel to its partners: every pair of pixels nearer than `radius`, once.

    Args:
        radius: in grid cells, at least 2. A radius of 5 gives 34 offsets, 10 gives 152.

    Returns:
        n,2 int64: (0, 1..radius-1), then the half-disc y > 0, row by row from left to right.

    Raises:
        UserError: `radius` is not a whole number of at least 2.

    Source: the pairs of IRN.

    Example: right, and the three below.
        >>> pair_offsets(2).tolist()
        [[0, 1], [1, -1], [1, 0], [1, 1]]
    """
    if isinstance(radius, bool) or not isinstance(radius, int) or radius < 2:
        raise UserError(f"radius is {radius!r}; expected a whole number of at least 2 (IRN: 5 to walk, 10 to train).")
    below = [(y, x) for y in range(1, radius) for x in range(1 - radius, radius) if y * y + x * x < radius * radius]
    return torch.tensor([(0, x) for x in range(1, radius)] + below)


@lru_cache(maxsize=4096)
def path_cells(offset: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the cells (y, x) between the origin and `offset`, both ends included, in raster order.

    A cell of the bounding box is on the path when its centre is less than 1 away from the straight line through the
    two ends. Every cell of the box projects between the ends, so line and line segment give the same set.

    Source: the paths of IRN.
    """
    dy, dx = offset
    box = ((y, x) for y in range(min(0, dy), max(0, dy) + 1) for x in range(min(0, dx), max(0, dx) + 1))
    # The squared distance is (dy x - dx y)^2 / (dy^2 + dx^2). In integers, a distance of exactly 1 stays outside.
    return tuple((y, x) for y, x in box if (y, x) == offset or (dy * x - dx * y) ** 2 < dy * dy + dx * dx)


def affinities(edge: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return how likely the two pixels of each pair are to belong together: 1 - the strongest edge on their path.

    The maximum runs along each path over shifted views of the map, and the gradient goes back the same way, so memory
    is one map an offset and not one map a path cell. Differentiable once; where several cells of a path share the
    maximum, the first in raster order takes the gradient.

    Args:
        edge: ...,H,W floats in [0, 1], boundary maps after the sigmoid, with any leading dimensions.
        radius: as for `pair_offsets`, whose order the n offsets keep.

    Returns:
        affinity: ...,n,H,W in [0, 1], stored at the pair's first pixel; 0 where the second lies outside the image.
        valid: n,H,W bool, true where both pixels are inside.

    Raises:
        UserError: `edge` is not a floating-point map, or `radius` is not valid.

    Source: the semantic affinity of IRN.
    """
    if edge.ndim < 2 or 0 in edge.shape[-2:] or not edge.is_floating_point():
        raise UserError(f"edge is {described(edge)}; expected floating-point maps ...,H,W with at least one pixel.")
    height, width = edge.shape[-2:]
    offsets = [tuple(offset) for offset in pair_offsets(radius).tolist()]
    valid = torch.zeros(len(offsets), height, width, dtype=torch.bool, device=edge.device)
    for k, offset in fitting(offsets, height, width):
        valid[k][_window((0, 0), offset, height, width)[1:]] = True
    return 1 - _PathMaximum.apply(edge, offsets), valid


class _PathMaximum(torch.autograd.Function):
    """The strongest edge on each pair's path, ...,n,H,W; 1 for pairs that leave the image.

    Autograd of a chain of `torch.maximum` would keep every map of the chain, more than the gather it replaces.
    """

    @staticmethod
    def forward(ctx: Any, edge: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        *lead, height, width = edge.shape
        strongest = edge.new_ones(*lead, len(offsets), height, width)
        for k, offset in fitting(offsets, height, width):
            first, *others = (edge[_window(cell, offset, height, width)] for cell in path_cells(offset))
            pairs = strongest[..., k, :, :][_window((0, 0), offset, height, width)]
            pairs.copy_(first)
            for cell in others:
                torch.maximum(pairs, cell, out=pairs)
        ctx.save_for_backward(edge, strongest)
        ctx.offsets = offsets
        return strongest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        edge, strongest = ctx.saved_tensors
        height, width = edge.shape[-2:]
        result = torch.zeros_like(edge)
        for k, offset in fitting(ctx.offsets, height, width):
            pairs = _window((0, 0), offset, height, width)
            maximum, remaining = strongest[..., k, :, :][pairs], gradient[..., k, :, :][pairs]
            for cell in path_cells(offset):
                window = _window(cell, offset, height, width)
                found = edge[window] == maximum
                result[window] += remaining.masked_fill(~found, 0)
                remaining = remaining.masked_fill(found, 0)
        return result, None


def fitting(offsets: list[tuple[int, int]], height: int, width: int) -> list[tuple[int, tuple[int, int]]]:
    """Return the offsets, with their place in the list, for which an H,W image has at least one pair."""
    return [(k, (dy, dx)) for k, (dy, dx) in enumerate(offsets) if dy < height and abs(dx) < width]


def _window(cell: tuple[int, int], offset: tuple[int, int], height: int, width: int) -> tuple:
    """Return the index of the pixels that play the part of path cell `cell` in all the pairs of `offset`."""
    (y, x), (dy, dx) = cell, offset
    left = max(0, -dx) + x
    return ..., slice(y, y + height - dy), slice(left, left + width - abs(dx))


def described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
