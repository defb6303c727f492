"""What the relation network learns from: pairs of nearby cells that belong together, or do not.

The method is that of IRN (Ahn, Cho and Kwak, CVPR 2019). Its paths are long: gathered, those of one 512 px crop take
about 112 MB. Here each direction is reduced to a few sums at once and computed again in the backward pass, so that what
stays in memory does not depend on the number of directions.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sscnb.datasets import IGNORE
from sscnb.errors import UserError
from sscnb.refinement.affinity import pair_offsets, path_cells

EPSILON = 1e-5  # inside the logarithms, as in IRN


def labels_on_grid(labels: Tensor) -> Tensor:
    """Return the labels of the stride-4 grid: for each cell of 4x4 pixels the one next to its centre.

    Shape: B,H,W integers -> B,ceil(H/4),ceil(W/4); a cell whose centre is outside the image is 255.
    """
    height, width = labels.shape[-2:]
    return F.pad(labels, (0, -width % 4, 0, -height % 4), value=IGNORE)[..., 2::4, 2::4]


def relation_loss(
    edge: Tensor, displacement: Tensor | None, labels: Tensor, *, radius: int = 10, room: int = 0
) -> dict[str, Tensor]:
    """Return IRN's losses over the pairs of cells nearer than `radius`.

    A pair's affinity is 1 - the strongest edge on the path between its cells: high for pairs of one label, low for
    pairs of two. The displacements of two cells of one class should differ by the way from one to the other, those of
    two background cells not at all. A pair with a cell of label 255, or outside the image, does not count; a kind
    without any pair contributes 0.

    Args:
        edge: B,1,h,w logits.
        displacement: B,2,h,w in cells, (y, x), or None: then its two terms are left out.
        labels: B,h,w integers, 0 background, 255 uncertain.
        radius: in grid cells; IRN trains with 10, which makes 152 directions.
        room: of each pair, as `pair_offsets` orders it, the first cell has at least this many others to its left, to
            its right and below. 0 takes all pairs; IRN's implementation has radius - 1, so that every first cell has
            all of its partners.

    Returns:
        Scalars: "positive" = (mean over background pairs + mean over pairs of one class) / 2, "negative",
        "displacement_foreground", "displacement_background" (L1, mean over pairs and the two coordinates), and
        "loss" = (positive + negative) / 2 + (the two displacement terms) / 2.

    Raises:
        UserError: shapes do not agree, there is no pair of cells, or radius or room are not valid.

    Source: the losses of IRN, with the constants of its implementation.
    """
    _check(edge, displacement, labels, room)
    height, width = labels.shape[-2:]
    # Logarithms close to 0 and sums over millions of pairs: not in half precision.
    edge = edge[:, 0].to(torch.promote_types(edge.dtype, torch.float32)).sigmoid()
    if displacement is not None:
        displacement = displacement.to(edge.dtype)
    sums, counts = [], []
    for dy, dx in pair_offsets(radius).tolist():
        window = max(-dx, room), width - max(-dx, room) - max(dx, room), height - max(dy, room)
        if min(window[1:]) > 0:
            of_direction = checkpoint(
                _pair_sums, edge, displacement, labels, (dy, dx), window, use_reentrant=False, preserve_rng_state=False
            )
            sums.append(of_direction[0])
            counts.append(of_direction[1])
    if not sums:
        raise UserError(
            f"a grid of {height}x{width} cells has no pair whose first cell has {room} others to its left, right and "
            'below: use larger crops, a smaller irn.radius or irn.pairs="inside".'
        )
    pairs = torch.stack(counts).sum(0).clamp_min(1)  # foreground, background, different
    attraction_fg, attraction_bg, negative, *shifts = torch.stack(sums).sum(0) / pairs.repeat(2)[: len(sums[0])]
    terms = {"positive": (attraction_bg + attraction_fg) / 2, "negative": negative}
    loss = (terms["positive"] + negative) / 2
    if shifts:
        terms["displacement_foreground"], terms["displacement_background"] = shifts[0] / 2, shifts[1] / 2
        loss = loss + (terms["displacement_foreground"] + terms["displacement_background"]) / 2
    return terms | {"loss": loss}


def _pair_sums(
    edge: Tensor,
    displacement: Tensor | None,
    labels: Tensor,
    offset: tuple[int, int],
    window: tuple[int, int, int],
) -> tuple[Tensor, Tensor]:
    """Return the losses summed over the pairs of one direction, and the number of pairs of each kind.

    The pairs' first cells are a window of the grid: its first column, its width and its height; it begins at the top.
    Sums: attraction of one class, of background, repulsion; and displacement of one class, of background, if wanted.
    Numbers: pairs of one class, of background, of two labels.
    """
    dy, dx = offset
    left, width, height = window

    def at(maps: Tensor, y: int, x: int) -> Tensor:
        """The cells at (y, x) from the first cell of every pair."""
        return maps[..., y : y + height, left + x : left + x + width]

    first, second = at(labels, 0, 0), at(labels, dy, dx)
    known = (first != IGNORE) & (second != IGNORE)
    same = known & (first == second)
    foreground, background, different = same & (first != 0), same & (first == 0), known & (first != second)

    affinity = 1 - reduce(torch.maximum, (at(edge, *cell) for cell in path_cells(offset)))
    attraction = -torch.log(affinity + EPSILON)
    repulsion = -torch.log(1 + EPSILON - affinity)
    sums = [(attraction * foreground).sum(), (attraction * background).sum(), (repulsion * different).sum()]
    if displacement is not None:
        shift = at(displacement, 0, 0) - at(displacement, dy, dx)
        towards = shift - shift.new_tensor(offset).view(2, 1, 1)
        sums.append((towards.abs().sum(1) * foreground).sum())
        sums.append((shift.abs().sum(1) * background).sum())
    return torch.stack(sums), torch.stack([foreground.sum(), background.sum(), different.sum()])


def _check(edge: Tensor, displacement: Tensor | None, labels: Tensor, room: int) -> None:
    if room < 0:
        raise UserError(f"room is {room}; expected a number of cells from 0 on.")
    shapes = [tuple(x.shape) for x in (edge, displacement, labels) if x is not None]
    batch, size = labels.shape[:1], labels.shape[1:]
    fit = labels.ndim == 3 and edge.shape == (*batch, 1, *size)
    if not fit or (displacement is not None and displacement.shape != (*batch, 2, *size)):
        raise UserError(f"edge, displacement and labels have shapes {shapes}; expected B,1,h,w, B,2,h,w and B,h,w.")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(f"labels are {labels.dtype}; expected integers, 0 background and 255 uncertain.")
    if labels.numel() == 0 or size.numel() < 2:
        raise UserError(f"a grid of {'x'.join(map(str, size))} cells has no pairs: use larger crops.")
