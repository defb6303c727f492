"""The random walk that spreads a CAM along affinities, hemmed in by an edge map.

The method is that of IRN (Ahn, Cho and Kwak, CVPR 2019), whose boundary map says where the walk must not pass.
Nothing here grows with the square of the image: the power of the transition matrix is a short Chebyshev sum of stencil
products.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import dia_array
from torch import Tensor

from sscnb.errors import UserError, nearest
from sscnb.refinement.affinity import affinities, described, fitting, pair_offsets

Product = Callable[[Tensor], Tensor]
# Cells of the map. On a processor diagonals are faster than shifts (book/results/speed.json), for two classes about as
# fast at 160x160; beyond they would only take more memory.
DIAGONALS_UP_TO = 160 * 160


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

    Example: activation spreads evenly up to the edge, and not beyond.
        >>> cam, edge = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
        >>> random_walk(cam, edge, radius=2).round(decimals=3).tolist()
        [[[0.5, 0.5, 0.0, 0.0]]]
    """
    _check(cam, edge, beta, steps, tol, method)
    edge = edge.to(cam)
    stencil = _stencil(edge, radius, beta)
    x = (cam * (1 - edge)).flatten(1)
    if x.device.type == "cpu" and edge.numel() <= DIAGONALS_UP_TO:
        x, product = x.double(), _by_diagonals(stencil, edge.numel())
    else:
        product = _by_shifts(stencil, edge)
    if method == "iterate":
        for _ in range(steps):
            x = product(x)
    else:
        x = _chebyshev_power(product, x, chebyshev_coefficients(steps, tol))
    return x.reshape(cam.shape).to(cam)


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


def _chebyshev_power(product: Product, x: Tensor, coefficients: list[float]) -> Tensor:
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


def _stencil(edge: Tensor, radius: int, beta: float) -> list[tuple[int, Tensor]]:
    """Return shifts on the flattened map, and the affinity of each pixel with the one that lies so far behind it.

    Pairs that would wrap around a row have affinity 0, and so have the last ones of a shift, which have no partner.
    """
    height, width = edge.shape
    weights = affinities(edge, radius)[0].pow_(beta).flatten(1)
    return [(dy * width + dx, weights[k]) for k, (dy, dx) in fitting(pair_offsets(radius).tolist(), height, width)]


def _by_diagonals(stencil: list[tuple[int, Tensor]], count: int) -> Product:
    """Return the product x -> x T on C,HW float64 maps, T stored by its diagonals: one compiled loop for each class."""
    shifts = sorted({shift for shift, _ in stencil})  # on a narrow map several offsets are the same shift
    diagonals = np.zeros((2 * len(shifts) + 1, count))  # entries stand at their columns
    diagonals[-1] = 1
    for shift, weight in stencil:
        place = 2 * shifts.index(shift)
        diagonals[place, shift:] += weight[:-shift].numpy()
        diagonals[place + 1, :-shift] += weight[:-shift].numpy()
    offsets = [*(sign * shift for shift in shifts for sign in (1, -1)), 0]
    matrix = dia_array((diagonals, offsets), shape=(count, count))
    column_sums = matrix @ np.ones(count)

    def product(x: Tensor) -> Tensor:
        following = np.empty(x.shape)
        for k, of_class in enumerate(x.numpy()):
            following[k] = matrix @ of_class
        return torch.from_numpy(following / column_sums)

    return product


def _by_shifts(stencil: list[tuple[int, Tensor]], like: Tensor) -> Product:
    """Return the product x -> x T on C,HW maps as x_i + sum_j A_ij (x_j - x_i) / column sum_i, on any device."""
    column_sums = torch.ones_like(like).flatten()
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
        raise UserError(f"cam is {described(cam)} and edge {described(edge)}; expected C,H,W and H,W of equal size.")
    if cam.dtype not in (torch.float32, torch.float64) or not edge.is_floating_point():
        raise UserError(f"cam is {described(cam)} and edge {described(edge)}; expected floats. Use .float().")
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
