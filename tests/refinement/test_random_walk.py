"""The walk against a dense matrix built pair by pair, and the properties that the mathematics promises."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch

from sscnb.errors import UserError
from sscnb.refinement import walk
from sscnb.refinement.affinity import affinities, pair_offsets, path_cells
from sscnb.refinement.walk import chebyshev_coefficients, random_walk


@cache
def segment_cells(dy, dx):
    """Cells whose exact distance to the line segment from (0, 0) to (dy, dx) is below 1, inside the bounding box."""
    cells = []
    for y in range(min(0, dy), max(0, dy) + 1):
        for x in range(min(0, dx), max(0, dx) + 1):
            along = min(max(Fraction(y * dy + x * dx, dy * dy + dx * dx), Fraction(0)), Fraction(1))
            if (y - along * dy) ** 2 + (x - along * dx) ** 2 < 1:
                cells.append((y, x))
    return cells


def dense_affinity(edge, radius):
    """A without its power: N,N, one pair at a time, 1 on the diagonal."""
    return _dense_affinity(tuple(map(tuple, edge.tolist())), radius)


@cache
def _dense_affinity(rows, radius):
    height, width = len(rows), len(rows[0])
    matrix = np.eye(height * width)
    pixels = [(y, x) for y in range(height) for x in range(width)]
    for i, (y, x) in enumerate(pixels):
        for j, (v, u) in enumerate(pixels[:i]):
            if (v - y) ** 2 + (u - x) ** 2 < radius**2:
                strongest = max(rows[y + dy][x + dx] for dy, dx in segment_cells(v - y, u - x))
                matrix[i, j] = matrix[j, i] = 1 - strongest
    return matrix


def dense_walk(cam, edge, radius=5, beta=10, steps=256):
    """cam (1 - edge) T^steps with the whole matrix; a power of two is taken by squaring, as IRN does."""
    matrix = dense_affinity(edge, radius) ** beta
    transition = matrix / matrix.sum(axis=0, keepdims=True)
    x = (cam * (1 - edge)).flatten(1).numpy()
    return torch.from_numpy(x @ np.linalg.matrix_power(transition, steps)).reshape(cam.shape)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def contour():
    """A closed square of edges at rows 2..6, columns 2..7 of a 9x11 grid."""
    edge = torch.zeros(9, 11, dtype=torch.float64)
    edge[2:7, 2:8] = 1
    edge[3:6, 3:7] = 0
    return edge


@pytest.fixture(params=["diagonals", "shifts"], autouse=True)
def way(request, monkeypatch):
    """Small maps are walked by diagonals on a processor, all others by shifts: both must do all of this."""
    if request.param == "shifts":
        monkeypatch.setattr(walk, "DIAGONALS_UP_TO", 0)


EDGES = {
    "random": uniform(9, 11),
    "steep": torch.sigmoid(20 * (uniform(9, 11, seed=1) - 0.6)),
    "none": torch.zeros(9, 11, dtype=torch.float64),
    "everywhere": torch.ones(9, 11, dtype=torch.float64),
    "contour": contour(),
}
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 17), (17, 1), (2, 3), (12, 3), (3, 12)]


@pytest.mark.parametrize("radius, number", [(2, 4), (3, 12), (5, 34), (10, 152)])
def test_offsets_are_each_near_pair_once(radius, number):
    offsets = [tuple(offset) for offset in pair_offsets(radius).tolist()]
    near = {(y, x) for y in range(-20, 21) for x in range(-20, 21) if 0 < y * y + x * x < radius * radius}
    assert len(offsets) == number
    # Together with their opposites they are the whole disc, and no pair comes twice.
    assert sorted(offsets + [(-y, -x) for y, x in offsets]) == sorted(near)
    assert offsets[: radius - 1] == [(0, x) for x in range(1, radius)]
    assert all(y > 0 for y, _ in offsets[radius - 1 :])


def test_paths_by_hand():
    assert path_cells((0, 3)) == ((0, 0), (0, 1), (0, 2), (0, 3))
    assert path_cells((1, 1)) == ((0, 0), (0, 1), (1, 0), (1, 1))  # the two corners are 0.71 away
    assert path_cells((2, -1)) == ((0, -1), (0, 0), (1, -1), (1, 0), (2, -1), (2, 0))  # the far corners are 0.89 away
    assert (1, 3) not in path_cells((3, 4))  # |3 * 3 - 4 * 1| / 5: a distance of exactly 1


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_paths_are_the_cells_near_the_segment(radius):
    for offset in map(tuple, pair_offsets(radius).tolist()):
        assert list(path_cells(offset)) == segment_cells(*offset)


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_affinities_equal_a_loop_over_pairs_and_path_cells(radius):
    edges = torch.stack([uniform(9, 11, seed=k) for k in range(2)])
    affinity, valid = affinities(edges, radius)
    assert affinity.shape == (2, len(pair_offsets(radius)), 9, 11) and valid.shape == affinity.shape[1:]
    affinity, valid, edges = affinity.tolist(), valid.tolist(), edges.tolist()
    for k, (dy, dx) in enumerate(pair_offsets(radius).tolist()):
        for y in range(9):
            for x in range(11):
                inside = y + dy < 9 and 0 <= x + dx < 11
                assert valid[k][y][x] == inside
                for b in range(2):
                    path = [edges[b][y + py][x + px] for py, px in segment_cells(dy, dx)] if inside else [1]
                    assert affinity[b][k][y][x] == 1 - max(path)


def test_affinities_pass_the_numerical_gradient_check():
    edge = uniform(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: affinities(e, 3)[0], edge)


def test_gradient_equals_that_of_a_loop_over_pairs():
    edges = uniform(2, 9, 11).requires_grad_()
    weights = uniform(2, 34, 9, 11, seed=1)
    (affinities(edges, 5)[0] * weights).sum().backward()
    expected = torch.zeros_like(edges)
    for b, edge in enumerate(edges.tolist()):
        for k, (dy, dx) in enumerate(pair_offsets(5).tolist()):
            for y in range(9 - dy):
                for x in range(max(0, -dx), 11 - max(0, dx)):
                    highest = max(segment_cells(dy, dx), key=lambda cell: edge[y + cell[0]][x + cell[1]])  # noqa: B023
                    expected[b, y + highest[0], x + highest[1]] -= weights[b, k, y, x]
    torch.testing.assert_close(edges.grad, expected)


def test_tied_edges_share_out_no_more_than_one_gradient_a_pair():
    edge = torch.full((4, 6), 0.5, requires_grad=True)
    affinity, valid = affinities(edge, 3)
    affinity.sum().backward()
    assert edge.grad.sum() == -valid.sum()


@pytest.mark.parametrize("radius", range(2, 11))
@pytest.mark.parametrize("name", EDGES)
def test_walk_equals_the_dense_reference(name, radius):
    cam, edge = uniform(2, 9, 11, seed=7), EDGES[name]
    expected = dense_walk(cam, edge, radius)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
        ours = random_walk(cam.to(dtype), edge.to(dtype), radius=radius)
        assert ours.dtype == dtype
        assert (ours - expected).abs().max() < tolerance  # also false for NaN


@pytest.mark.parametrize("name", EDGES)
def test_plain_iteration_equals_the_dense_reference(name):
    cam, edge = uniform(2, 9, 11, seed=7), EDGES[name]
    for radius in (2, 5):
        expected = dense_walk(cam, edge, radius)
        assert (random_walk(cam, edge, radius=radius, method="iterate") - expected).abs().max() < 1e-12
        single = random_walk(cam.float(), edge.float(), radius=radius, method="iterate")
        assert (single - expected).abs().max() < 1e-4


@pytest.mark.parametrize("height, width", SHAPES)
@pytest.mark.parametrize("radius", [2, 5, 10])
def test_walk_on_narrow_images(height, width, radius):
    cam = uniform(3, height, width)
    for edge in (uniform(height, width, seed=1), torch.zeros(height, width), torch.ones(height, width)):
        expected = dense_walk(cam, edge.double(), radius)
        assert (random_walk(cam, edge, radius=radius) - expected).abs().max() < 1e-6
        assert (random_walk(cam.float(), edge, radius=radius) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7, 64, 255, 300])
def test_any_number_of_steps(steps):
    cam, edge = uniform(2, 9, 11), EDGES["random"]
    for method in ("chebyshev", "iterate"):
        ours = random_walk(cam, edge, steps=steps, method=method)
        assert (ours - dense_walk(cam, edge, steps=steps)).abs().max() < 1e-6
    if steps == 0:
        assert torch.equal(ours, cam * (1 - edge))


def test_padding_with_edges_changes_nothing():
    radius, cam, edge = 4, uniform(2, 6, 5), uniform(6, 5, seed=1)
    margins = (radius, radius, 0, radius)  # left, right, top, bottom, as in IRN
    padded = dense_walk(
        torch.nn.functional.pad(cam, margins), torch.nn.functional.pad(edge, margins, value=1.0), radius
    )
    assert (padded[:, :6, radius:-radius] - random_walk(cam, edge, radius=radius)).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["random", "steep", "none", "contour"])
def test_a_constant_stays_constant_because_columns_sum_to_one(name):
    edge = EDGES[name]
    # The walk starts at cam (1 - edge): divide, to start it at 3 everywhere but on walls, whose pixels are alone.
    open_pixels = edge < 1
    cam = torch.where(open_pixels, 3 / (1 - edge).clamp_min(1e-300), 0)[None]
    assert (random_walk(cam, edge, method="iterate")[0, open_pixels] - 3).abs().max() < 1e-12
    assert (random_walk(cam, edge, tol=1e-6)[0, open_pixels] - 3).abs().max() < 3 * 1e-6
    assert (random_walk(cam, edge)[0, ~open_pixels] == 0).all()


def test_a_constant_does_not_drift_in_single_precision():
    cam = torch.full((1, 9, 11), 0.7)
    edge = torch.full((9, 11), 0.3)
    assert torch.equal(random_walk(cam, edge, method="iterate"), cam * (1 - edge))


def test_the_sum_weighted_by_column_sums_is_conserved():
    cam, edge = uniform(2, 9, 11), EDGES["random"]
    weights = torch.from_numpy((dense_affinity(edge, 5) ** 10).sum(axis=0)).reshape(9, 11)
    before, after = cam * (1 - edge), random_walk(cam, edge, method="iterate")
    torch.testing.assert_close((after * weights).sum((1, 2)), (before * weights).sum((1, 2)), rtol=1e-12, atol=0)
    # The plain sum is not: that would be the walk whose rows, not columns, sum to 1.
    assert ((after.sum((1, 2)) / before.sum((1, 2)) - 1).abs() > 1e-3).all()


def test_the_walk_stays_within_the_range_of_the_cam():
    cam, edge = uniform(2, 9, 11), EDGES["steep"]
    x = (cam * (1 - edge)).flatten(1)
    after = random_walk(cam, edge, steps=3, method="iterate").flatten(1)
    assert (after.amin(1) >= x.amin(1) - 1e-15).all() and (after.amax(1) < x.amax(1)).all()


def test_a_closed_contour_lets_nothing_out():
    cam = torch.zeros(1, 9, 11, dtype=torch.float64)
    cam[0, 4, 4] = 1
    after = random_walk(cam, contour(), steps=4096)[0]
    inside = torch.zeros(9, 11, dtype=torch.bool)
    inside[3:6, 3:7] = True
    assert (after[~inside] == 0).all()
    # Long enough, the 12 inner pixels hold one common value.
    assert (after[inside] > 0.05).all() and after[inside].std() < 1e-6


def test_classes_do_not_mix_and_batch_freely():
    cam, edge = uniform(3, 9, 11), EDGES["random"]
    together = random_walk(cam, edge)
    for c in range(3):
        torch.testing.assert_close(random_walk(cam[c : c + 1], edge)[0], together[c], rtol=0, atol=1e-14)
    assert random_walk(cam[:0], edge).shape == (0, 9, 11)


def test_inputs_are_left_alone_and_no_gradient_is_kept():
    cam, edge = uniform(2, 9, 11).requires_grad_(), uniform(9, 11, seed=1)
    copies = cam.detach().clone(), edge.clone()
    assert not random_walk(cam, edge).requires_grad
    assert torch.equal(cam, copies[0]) and torch.equal(edge, copies[1])


def test_coefficients_by_hand():
    assert chebyshev_coefficients(0, 1e-6) == [1]
    assert chebyshev_coefficients(1, 1e-6) == [0, 1]
    assert chebyshev_coefficients(2, 1e-6) == [0.5, 0, 0.5]  # t^2 = (1 + T_2) / 2
    assert chebyshev_coefficients(3, 1e-6) == [0, 0.75, 0, 0.25]  # t^3 = (3 T_1 + T_3) / 4
    assert chebyshev_coefficients(4, 1e-6) == [0.375, 0, 0.5, 0, 0.125]  # t^4 = (3 + 4 T_2 + T_4) / 8


@pytest.mark.parametrize("steps", [256, 257, 5000])
@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-10])
def test_degree_is_the_smallest_that_meets_the_tolerance(steps, tol):
    coefficients = chebyshev_coefficients(steps, tol)
    t = np.cos(np.linspace(0, np.pi, 1001))
    assert np.abs(np.polynomial.chebyshev.chebval(t, coefficients) - t**steps).max() <= tol * (1 + 1e-3)
    assert 1 - sum(coefficients[:-1]) > tol


def test_tolerance_bounds_the_weighted_error_and_is_used():
    cam, edge = uniform(2, 9, 11), EDGES["random"]
    weights = torch.from_numpy((dense_affinity(edge, 5) ** 10).sum(axis=0)).reshape(9, 11)
    exact = dense_walk(cam, edge)
    start = (cam * (1 - edge)).square().mul(weights).sum().sqrt()
    errors = [
        (random_walk(cam, edge, tol=tol) - exact).square().mul(weights).sum().sqrt() / start for tol in (1e-1, 1e-4)
    ]
    assert 1e-4 < errors[0] <= 1e-1 and 1e-8 < errors[1] <= 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_walk_on_a_gpu_equals_the_one_on_the_cpu():
    cam, edge = uniform(2, 9, 11), EDGES["random"]
    assert (random_walk(cam.cuda(), edge).cpu() - random_walk(cam, edge)).abs().max() < 1e-10


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cam": torch.zeros(4, 5)}, "C,H,W"),
        ({"cam": torch.zeros(2, 5, 4)}, "equal size"),
        ({"edge": torch.zeros(1, 4, 5)}, "H,W"),
        ({"cam": torch.zeros(2, 0, 5), "edge": torch.zeros(0, 5)}, "equal size"),
        ({"cam": torch.zeros(2, 4, 5).half()}, "float16"),
        ({"cam": torch.zeros(2, 4, 5).int()}, "int32"),
        ({"edge": torch.zeros(4, 5).int()}, "int32"),
        ({"edge": torch.full((4, 5), 1.01)}, "sigmoid"),
        ({"edge": torch.full((4, 5), -0.01)}, "sigmoid"),
        ({"edge": torch.full((4, 5), torch.nan)}, "NaN"),
        ({"cam": torch.full((2, 4, 5), torch.inf)}, "infinite"),
        ({"radius": 1}, "radius"),
        ({"radius": 5.0}, "radius"),
        ({"beta": 0}, "beta"),
        ({"steps": -1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"tol": 0}, "tol"),
        ({"tol": 1.0}, "tol"),
        ({"method": "chebychev"}, "did you mean 'chebyshev'"),
    ],
)
def test_wrong_input_is_refused_with_a_reason(change, message):
    arguments = {"cam": torch.zeros(2, 4, 5), "edge": torch.zeros(4, 5)} | change
    with pytest.raises(UserError, match=message):
        random_walk(**arguments)


def test_affinities_refuse_what_is_no_map():
    for edge in (torch.zeros(5), torch.zeros(3, 0), torch.zeros(4, 5, dtype=torch.uint8)):
        with pytest.raises(UserError, match="expected floating-point maps"):
            affinities(edge, 5)
