"""The relations of a single cell: whom it is akin to, and how far a random walk carries what it holds."""

import torch
from torch import Tensor

from sscnb.refinement.affinity import affinities, pair_offsets
from sscnb.refinement.walk import random_walk

Cell = tuple[int, int]  # y, x


def strongest_cell(cams: Tensor, edge: Tensor) -> Cell:
    """Return the cell of highest activation, the first in raster order; the middle one without classes.

    Shapes: cams n,h,w; edge h,w.
    """
    height, width = edge.shape
    if not len(cams):
        return height // 2, width // 2
    return divmod(int(cams.amax(0).argmax()), width)


def cell_affinities(edge: Tensor, cell: Cell, *, radius: int, beta: float) -> Tensor:
    """Return the affinities of one cell to all cells nearer than `radius`, to the power `beta`, and 0 elsewhere.

    Shapes: edge h,w in [0, 1] -> h,w in [0, 1]; the cell itself has 1. Raises: as of `affinities`.
    """
    (y, x), (height, width) = cell, edge.shape
    result, (pairs, _) = torch.zeros_like(edge), affinities(edge, radius)
    result[y, x] = 1
    # A pair is stored at its first cell: this one, or the other one where the offset leads back to it.
    for k, (dy, dx) in enumerate(pair_offsets(radius).tolist()):
        for first_y, first_x, to_y, to_x in ((y, x, y + dy, x + dx), (y - dy, x - dx, y - dy, x - dx)):
            if 0 <= to_y < height and 0 <= to_x < width:
                result[to_y, to_x] = pairs[k, first_y, first_x] ** beta
    return result


def walk_from(edge: Tensor, cell: Cell, *, radius: int, beta: float, steps: int) -> Tensor:
    """Return where a random walk of `steps` carries the content of one cell, divided by its maximum.

    Shapes: edge h,w in [0, 1] -> h,w in [0, 1]. Raises: as of `random_walk`.
    """
    start = torch.zeros_like(edge)
    start[cell] = 1
    reached = random_walk(start[None], edge, radius=radius, beta=beta, steps=steps)[0]
    return reached / reached.max().clamp_min(1e-12)
