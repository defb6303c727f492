"""Affinities between nearby pixels, and the random walk that spreads a CAM along them.

The method is that of IRN (Ahn, Cho and Kwak, CVPR 2019), whose boundary map says where the walk must not pass.
Nothing here grows with the square of the image: paths are followed by shifting the edge map, and the power of the
transition matrix is a short Chebyshev sum of stencil products.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from sscnb.errors import UserError, nearest


def pair_offsets(radius: int) -> Tensor:
    """Return the offsets (y, x) from a pixel to its partners: every pair of pixels nearer than `radius`, once.

    Args:
        radius: in grid cells, at least 2. A radius of 5 gives 34 offsets, 10 gives 152.

    Returns:
        n,2 int64: (0, 1..radius-1), then the half-disc y > 0, row by row from left to right.

    Raises:
        UserError: `radius` is not a whole number of at least 2.

    Source: the pairs of IRN.
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
        raise UserError(f"edge is {_described(edge)}; expected floating-point maps ...,H,W with at least one pixel.")
    height, width = edge.shape[-2:]
    offsets = [tuple(offset) for offset in pair_offsets(radius).tolist()]
    valid = torch.zeros(len(offsets), height, width, dtype=torch.bool, device=edge.device)
    for k, offset in _fitting(offsets, height, width):
        valid[k][_window((0, 0), offset, height, width)[1:]] = True
    return 1 - _PathMaximum.apply(edge, offsets), valid


class _PathMaximum(torch.autograd.Function):
    """The strongest edge on each pair's path, ...,n,H,W; 1 for pairs that leave the image.

    Autograd of a chain of `torch.maximum` would keep every map of the chain, more than the gather it replaces.
    """

    @staticmethod
    def forward(ctx, edge: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        *lead, height, width = edge.shape
        strongest = edge.new_ones(*lead, len(offsets), height, width)
        for k, offset in _fitting(offsets, height, width):
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
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        edge, strongest = ctx.saved_tensors
        height, width = edge.shape[-2:]
        result = torch.zeros_like(edge)
        for k, offset in _fitting(ctx.offsets, height, width):
            pairs = _window((0, 0), offset, height, width)
            maximum, remaining = strongest[..., k, :, :][pairs], gradient[..., k, :, :][pairs]
            for cell in path_cells(offset):
                window = _window(cell, offset, height, width)
                found = edge[window] == maximum
                result[window] += remaining.masked_fill(~found, 0)
                remaining = remaining.masked_fill(found, 0)
        return result, None


def _fitting(offsets: list[tuple[int, int]], height: int, width: int) -> list[tuple[int, tuple[int, int]]]:
    """Return the offsets, with their place in the list, for which an H,W image has at least one pair."""
    return [(k, (dy, dx)) for k, (dy, dx) in enumerate(offsets) if dy < height and abs(dx) < width]


def _window(cell: tuple[int, int], offset: tuple[int, int], height: int, width: int) -> tuple:
    """Return the index of the pixels that play the part of path cell `cell` in all the pairs of `offset`."""
    (y, x), (dy, dx) = cell, offset
    left = max(0, -dx) + x
    return ..., slice(y, y + height - dy), slice(left, left + width - abs(dx))


@torch.no_grad()
def random_walk(
    cam: Tensor,
    edge: Tensor,
    *,
    radius: int = 5,
    beta: float = 10,
    steps: int = 256,
    tol: float = 1e-6,
    method: str = "chebyshev",
) -> Tensor:
    """Return the CAM after `steps` steps of the random walk that an edge map hems in: cam (1 - edge) T^steps.

    With A the affinities to the power `beta` (1 on the diagonal), T is A with columns that sum to 1. A pixel's new
    value is therefore a weighted mean of its neighbours' values: a constant map stays constant, no value leaves the
    range of the old ones, and the sum of the values weighted by the column sums of A is conserved. A pixel with an
    edge of 1 is alone; IRN's padding with edges of 1 does nothing else, hence there is none here.

    A is symmetric, so T has real eigenvalues in [-1, 1] and T^steps is a short sum of Chebyshev polynomials.

    Args:
        cam: C,H,W float32 or float64, at the walk's resolution (IRN: stride 4).
        edge: H,W floats in [0, 1]; moved to the type and device of `cam`.
        radius: pixels nearer than this are neighbours, in grid cells.
        beta: power of the affinities, above 0; large values make weak edges into walls.
        steps: number of steps, 0 or more. IRN gives the power of two: its 8 are 2^8 = 256 steps here.
        tol: bound on the sum of the Chebyshev coefficients left out, between 0 and 1: the error relative to the CAM,
            in the norm weighted by the column sums of A, before rounding. `method="iterate"` does not use it.
        method: "chebyshev", or "iterate" for `steps` plain products; both give the same up to `tol`.

    Returns:
        C,H,W of the type and device of `cam`, without gradient.

    Raises:
        UserError: shapes, types or ranges are not as above.

    Source: the random walk of IRN (affinity matrix, its power and normalisation, CAM damped on edges).
    """
    _check(cam, edge, beta, steps, tol, method)
    edge = edge.to(cam)
    product = _transition(edge, radius, beta)
    x = (cam * (1 - edge)).flatten(1)
    if method == "iterate":
        for _ in range(steps):
            x = product(x)
    else:
        x = _chebyshev_power(product, x, chebyshev_coefficients(steps, tol))
    return x.reshape(cam.shape)


def chebyshev_coefficients(steps: int, tol: float) -> list[float]:
    """Return c_0, c_1, ... of t^steps = sum_k c_k T_k(t), cut where those left out sum to at most `tol`.

    All c_k are at least 0 and together 1, so on [-1, 1] the cut sum is off by at most `tol`. The length grows with
    the square root of `steps`: 256 steps to 1e-6 take a degree of 78.

    Source: c_k = 2^(1-n) binom(n, (n-k)/2) for n - k even, half of that for k = 0, and 0 for n - k odd.
    """
    k = steps % 2
    value = math.comb(steps, steps // 2) / 2 ** (steps - k)  # integers: exact for any number of steps
    coefficients = [0.0] * k + [value]
    while k < steps and 1 - math.fsum(coefficients) > tol:
        value *= (2 if k == 0 else 1) * (steps - k) / (steps + k + 2)
        coefficients += [0.0, value]
        k += 2
    return coefficients


def _chebyshev_power(product: Callable[[Tensor], Tensor], x: Tensor, coefficients: list[float]) -> Tensor:
    """Return sum_k c_k T_k(M) x for the matrix M that `product` multiplies by; T_k+1 = 2 M T_k - T_k-1."""
    total = coefficients[0] * x
    previous, current = None, x
    for coefficient in coefficients[1:]:
        following = product(current)
        if previous is not None:
            following.mul_(2).sub_(previous)
        previous, current = current, following
        total.add_(current, alpha=coefficient)
    return total


def _transition(edge: Tensor, radius: int, beta: float) -> Callable[[Tensor], Tensor]:
    """Return the product x -> x T on C,HW maps: x_i + sum_j A_ij (x_j - x_i) / column sum_i."""
    height, width = edge.shape
    weights = affinities(edge, radius)[0].pow_(beta).flatten(1)
    # On the flattened image an offset is one shift: pairs that would wrap around a row have weight 0. The contiguous
    # runs keep up with torch's sparse matrices on small images, beat them on large ones, and run on any device.
    fitting = _fitting(pair_offsets(radius).tolist(), height, width)
    stencil = [(dy * width + dx, weights[k]) for k, (dy, dx) in fitting]
    column_sums = torch.ones_like(edge).flatten()
    for shift, weight in stencil:
        column_sums[:-shift] += weight[:-shift]
        column_sums[shift:] += weight[:-shift]

    def product(x: Tensor) -> Tensor:
        change = torch.zeros_like(x)
        buffer = torch.empty_like(x)
        for shift, weight in stencil:
            # Differences, since the rounding of plain sums has the same sign at every step: 2e-4 off in float32 after
            # 256 steps, where this is 30 times closer for a fifth more time.
            flow = torch.sub(x[:, shift:], x[:, :-shift], out=buffer[:, shift:]).mul_(weight[:-shift])
            change[:, :-shift] += flow
            change[:, shift:] -= flow
        return change.div_(column_sums).add_(x)

    return product


def _check(cam: Tensor, edge: Tensor, beta: float, steps: int, tol: float, method: str) -> None:
    if cam.ndim != 3 or edge.ndim != 2 or cam.shape[1:] != edge.shape or edge.numel() == 0:
        raise UserError(f"cam is {_described(cam)} and edge {_described(edge)}; expected C,H,W and H,W of equal size.")
    if cam.dtype not in (torch.float32, torch.float64) or not edge.is_floating_point():
        raise UserError(f"cam is {_described(cam)} and edge {_described(edge)}; expected floats. Use .float().")
    if not ((edge >= 0) & (edge <= 1)).all():
        raise UserError("edge has values outside [0, 1] or NaN; expected probabilities, after the sigmoid.")
    if not cam.isfinite().all():
        raise UserError("cam has NaN or infinite values; expected finite scores. Look at the network that made it.")
    if not 0 < beta < math.inf:
        raise UserError(f"beta is {beta!r}; expected a number above 0, the default is 10.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise UserError(f"steps is {steps!r}; expected a whole number of at least 0, the default is 256.")
    if not 0 < tol < 1:
        raise UserError(f"tol is {tol!r}; expected a number between 0 and 1, the default is 1e-6.")
    if method not in ("chebyshev", "iterate"):
        raise UserError(f"method is {method!r}; {nearest(str(method), ['chebyshev', 'iterate'])}")


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
