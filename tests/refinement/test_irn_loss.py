"""The losses against a plain loop over pairs and path cells, and the symmetries they must have."""

import math
from functools import cache

import pytest
import torch

from sscnb.errors import UserError
from sscnb.refinement.affinity import affinities, pair_offsets
from sscnb.refinement.irn_loss import labels_on_grid, relation_loss

TERMS = ["positive", "negative", "displacement_foreground", "displacement_background", "loss"]


def make(height=9, width=11, batch=2, seed=0):
    """Random logits and displacements in double precision, and blocks of labels 0, 1, 2 and 255."""
    generator = torch.Generator().manual_seed(seed)
    edge = torch.randn(batch, 1, height, width, generator=generator, dtype=torch.float64)
    displacement = 3 * torch.randn(batch, 2, height, width, generator=generator, dtype=torch.float64)
    blocks = torch.randint(0, 4, (batch, -(-height // 3), -(-width // 3)), generator=generator)
    labels = blocks.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :height, :width]
    return edge, displacement, torch.where(labels == 3, 255, labels)


@cache
def path(dy, dx):
    """Cells of the bounding box that are less than 1 away from the line, by the distance formula."""
    return [
        (y, x)
        for y in range(min(0, dy), max(0, dy) + 1)
        for x in range(min(0, dx), max(0, dx) + 1)
        if abs(dy * x - dx * y) / math.hypot(dy, dx) < 1 - 1e-9
    ]


def by_loop(edge, displacement, labels, radius, room=0):
    """Every pair of cells, one at a time, whose first one has room to its left, right and below."""
    batch, height, width = labels.shape
    edge, shift, labels = edge[:, 0].sigmoid().tolist(), displacement.tolist(), labels.tolist()
    kinds = {kind: [] for kind in ("fg", "bg", "different", "fg move", "bg move")}
    cells = [(y, x) for y in range(height) for x in range(width)]
    for b in range(batch):
        for i, (y, x) in enumerate(cells):
            if x < room or x + room >= width or y + room >= height:
                continue
            for v, u in cells[i + 1 :]:
                first, second = labels[b][y][x], labels[b][v][u]
                if (v - y) ** 2 + (u - x) ** 2 >= radius**2 or 255 in (first, second):
                    continue
                affinity = 1 - max(edge[b][y + py][x + px] for py, px in path(v - y, u - x))
                moves = [shift[b][k][y][x] - shift[b][k][v][u] for k in range(2)]
                if first != second:
                    kinds["different"].append(-math.log(1 + 1e-5 - affinity))
                elif first == 0:
                    kinds["bg"].append(-math.log(affinity + 1e-5))
                    kinds["bg move"].append((abs(moves[0]) + abs(moves[1])) / 2)
                else:
                    kinds["fg"].append(-math.log(affinity + 1e-5))
                    kinds["fg move"].append((abs(moves[0] - (v - y)) + abs(moves[1] - (u - x))) / 2)
    mean = {kind: sum(values) / max(len(values), 1) for kind, values in kinds.items()}
    positive = mean["bg"] / 2 + mean["fg"] / 2
    loss = (positive + mean["different"]) / 2 + (mean["fg move"] + mean["bg move"]) / 2
    return dict(zip(TERMS, [positive, mean["different"], mean["fg move"], mean["bg move"], loss], strict=True))


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_all_terms_equal_a_loop_over_pairs_and_path_cells(radius):
    inputs = make()
    ours, expected = relation_loss(*inputs, radius=radius), by_loop(*inputs, radius)
    assert list(ours) == TERMS
    for name in TERMS:
        assert expected[name] > 0
        assert ours[name].item() == pytest.approx(expected[name], rel=1e-10)


@pytest.mark.parametrize("radius, room", [(2, 1), (4, 3), (4, 1)])
def test_pairs_with_room_equal_the_same_loop(radius, room):
    inputs = make()
    ours, expected = relation_loss(*inputs, radius=radius, room=room), by_loop(*inputs, radius, room)
    for name in TERMS:
        assert expected[name] > 0 and ours[name].item() == pytest.approx(expected[name], rel=1e-10)
        assert expected[name] != by_loop(*inputs, radius)[name]


def test_first_cells_with_room_by_hand():
    """3x4 cells, radius 2: the first cells are the inner two of the first two rows, each with all four partners."""
    cells = [(y, x) for y in range(3) for x in range(4)]
    counted = set()
    for i, first in enumerate(cells):
        for second in cells[i + 1 :]:
            labels = torch.full((1, 3, 4), 255)
            labels[0, first[0], first[1]] = labels[0, second[0], second[1]] = 1
            losses = relation_loss(torch.zeros(1, 1, 3, 4, dtype=torch.float64), None, labels, radius=2, room=1)
            if losses["positive"] > 0:
                counted.add((first, second))
                assert losses["positive"].item() == pytest.approx(-math.log(0.5 + 1e-5) / 2)
    partners = [(0, 1), (1, -1), (1, 0), (1, 1)]
    assert counted == {((y, x), (y + dy, x + dx)) for y in (0, 1) for x in (1, 2) for dy, dx in partners}


def test_pairs_with_room_need_a_grid_that_has_some():
    edge, _, labels = make(9, 18, batch=1)
    assert relation_loss(*make(10, 19, batch=1), radius=10, room=9)["loss"] > 0
    with pytest.raises(UserError, match='9x18 cells has no pair.*irn.pairs="inside"'):
        relation_loss(edge, None, labels, radius=10, room=9)
    with pytest.raises(UserError, match="room is -1"):
        relation_loss(edge, None, labels, room=-1)


def test_two_cells_by_hand():
    edge = torch.tensor([[[[0.0, math.log(3)]]]])  # sigmoid .5 and .75: affinity .25
    displacement = torch.tensor([[[[2.0, 1.5]], [[4.0, 1.0]]]])  # differ by (.5, 3); the pair's offset is (0, 1)
    same = relation_loss(edge, displacement, torch.tensor([[[7, 7]]]), radius=2)
    assert same["positive"].item() == pytest.approx(-math.log(0.25 + 1e-5) / 2)
    assert same["negative"] == 0 and same["displacement_background"] == 0
    assert same["displacement_foreground"].item() == pytest.approx((0.5 + 2) / 2)
    background = relation_loss(edge, displacement, torch.tensor([[[0, 0]]]), radius=2)
    assert background["displacement_background"].item() == pytest.approx((0.5 + 3) / 2)
    other = relation_loss(edge, displacement, torch.tensor([[[7, 8]]]), radius=2)
    assert other["negative"].item() == pytest.approx(-math.log(0.75 + 1e-5)) and other["positive"] == 0


def test_displacements_that_point_to_one_centre_cost_nothing():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    towards = torch.stack([2.5 - y, 3 - x])[None]
    edge = torch.zeros(1, 1, 6, 7)
    losses = relation_loss(edge, towards, torch.full((1, 6, 7), 4), radius=5)
    assert losses["displacement_foreground"] < 1e-6
    assert relation_loss(edge, -towards, torch.full((1, 6, 7), 4), radius=5)["displacement_foreground"] > 1
    # Only differences count.
    again = relation_loss(edge, towards + torch.tensor([[[5.0]], [[-9.0]]]), torch.full((1, 6, 7), 4), radius=5)
    assert again["displacement_foreground"] < 1e-5


def test_affinity_is_the_one_of_the_random_walk():
    edge, _, _ = make(batch=1)
    affinity, valid = affinities(edge[0, 0].sigmoid(), 5)
    positive = relation_loss(edge, None, torch.ones(1, 9, 11, dtype=torch.int64), radius=5)["positive"]
    torch.testing.assert_close(positive, -(affinity[valid] + 1e-5).log().mean() / 2)


def test_gradients_pass_the_numerical_check():
    edge, displacement, _ = make(3, 4, batch=1)
    labels = torch.tensor([[[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 2, 1]]])
    inputs = edge.requires_grad_(), displacement.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, d: tuple(relation_loss(e, d, labels, radius=3).values()), inputs)


def test_the_batch_is_one_set_of_pairs_and_its_order_does_not_matter():
    edge, displacement, labels = make(batch=3)
    whole = relation_loss(edge, displacement, labels, radius=5)
    order = [2, 0, 1]
    shuffled = relation_loss(edge[order], displacement[order], labels[order], radius=5)
    # An image without a known pixel changes no mean.
    unknown = torch.cat([labels, torch.full_like(labels[:1], 255)])
    more = relation_loss(torch.cat([edge, -edge[:1]]), torch.cat([displacement, edge.new_ones(1, 2, 9, 11)]), unknown,
                         radius=5)  # fmt: skip
    for name in TERMS:
        torch.testing.assert_close(shuffled[name], whole[name], rtol=1e-12, atol=0)
        torch.testing.assert_close(more[name], whole[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("axis", [1, 2])
def test_mirrored_and_renamed_inputs_cost_the_same(axis):
    edge, displacement, labels = make()
    whole = relation_loss(edge, displacement, labels, radius=5)
    turned = displacement.flip(axis + 1).clone()
    turned[:, axis - 1] *= -1  # (y, x): a mirror turns the sign along its axis
    mirrored = relation_loss(edge.flip(axis + 1), turned, labels.flip(axis), radius=5)
    names = torch.tensor([0, 20, 3])
    renamed = relation_loss(edge, displacement, torch.where(labels < 3, names[labels % 255 % 3], labels), radius=5)
    for name in TERMS:
        torch.testing.assert_close(mirrored[name], whole[name], rtol=1e-12, atol=0)
        torch.testing.assert_close(renamed[name], whole[name], rtol=1e-12, atol=0)


def test_transposed_inputs_cost_the_same():
    edge, displacement, labels = make()
    whole = relation_loss(edge, displacement, labels, radius=5)
    turned = relation_loss(edge.mT, displacement.flip(1).mT, labels.mT, radius=5)
    for name in TERMS:
        torch.testing.assert_close(turned[name], whole[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [0, 6, 255])
def test_a_kind_without_pairs_is_zero_with_a_gradient(value):
    edge, displacement, labels = make(5, 6)
    edge.requires_grad_(), displacement.requires_grad_()
    losses = relation_loss(edge, displacement, torch.full_like(labels, value), radius=5)
    empty = {0: ["negative", "displacement_foreground"], 6: ["negative", "displacement_background"], 255: TERMS}[value]
    for name in TERMS:
        assert (losses[name] == 0) == (name in empty)
    losses["loss"].backward()
    for gradient in (edge.grad, displacement.grad):
        assert gradient.isfinite().all() and (gradient != 0).any() == (value != 255)


def test_saturated_edges_stay_finite():
    edge = torch.full((1, 1, 5, 6), 200.0)
    edge[..., 3:] = -200
    edge.requires_grad_()
    labels = torch.zeros(1, 5, 6, dtype=torch.int64)
    labels[:, 2:] = 1
    losses = relation_loss(edge, None, labels, radius=3)
    losses["loss"].backward()
    assert all(value.isfinite() for value in losses.values()) and edge.grad.isfinite().all()
    assert losses["positive"] < -math.log(1e-5)


def test_learning_the_edge_lowers_the_loss_at_the_boundary():
    labels = torch.zeros(1, 8, 12, dtype=torch.uint8)
    labels[:, :, 6:] = 3
    edge = torch.zeros(1, 1, 8, 12, requires_grad=True)
    optimizer = torch.optim.Adam([edge], lr=0.3)
    for _ in range(15):
        optimizer.zero_grad()
        loss = relation_loss(edge, None, labels, radius=3)["loss"]
        loss.backward()
        optimizer.step()
    columns = edge.detach().sigmoid()[0, 0].mean(0)
    assert columns[5:7].max() > 0.6 and columns[[0, 1, 2, 3, 8, 9, 10, 11]].max() < 0.2


def test_without_displacements_the_other_terms_are_the_same():
    edge, displacement, labels = make()
    whole, part = relation_loss(edge, displacement, labels), relation_loss(edge, None, labels)
    assert list(part) == ["positive", "negative", "loss"]
    assert part["positive"] == whole["positive"] and part["negative"] == whole["negative"]
    assert part["loss"] == (part["positive"] + part["negative"]) / 2


def test_half_precision_is_computed_in_single():
    edge, displacement, labels = make()
    half = relation_loss(edge.bfloat16(), displacement.bfloat16(), labels)
    single = relation_loss(edge.bfloat16().float(), displacement.bfloat16().float(), labels)
    assert all(half[name].dtype == torch.float32 and half[name] == single[name] for name in TERMS)


def test_memory_does_not_grow_with_the_number_of_directions():
    """What autograd keeps between the passes: the inputs once, not a map for each of 34 or 152 directions."""
    edge, displacement, labels = make(24, 24, batch=1)
    kept = []
    for radius in (5, 10):
        storages = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: storages.setdefault(x.untyped_storage().data_ptr(), x),  # noqa: B023
            lambda x: x,
        ):
            relation_loss(edge.requires_grad_(), displacement.requires_grad_(), labels, radius=radius)
        kept.append(sum(x.untyped_storage().nbytes() for x in storages.values()))
    one_map = edge.nbytes
    assert one_map <= kept[0] and kept[1] < 8 * one_map


def test_labels_of_the_grid_are_those_at_the_cells_centres():
    labels = torch.arange(2 * 9 * 10).reshape(2, 9, 10) % 200
    grid = labels_on_grid(labels)
    assert grid.shape == (2, 3, 3)
    assert torch.equal(grid[:, :2, :2], labels[:, 2::4, 2::4][:, :2, :2])
    assert (grid[:, 2] == 255).all() and (grid[:, :, 2] == 255).all()  # centres in row 10, column 10
    assert torch.equal(labels_on_grid(labels.byte()), grid.byte())
    assert torch.equal(labels_on_grid(labels[:, :8, :8]), labels[:, 2:8:4, 2:8:4])


@pytest.mark.parametrize(
    "edge, displacement, labels, message",
    [
        ((2, 1, 4, 5), (2, 2, 4, 5), (2, 5, 4), "expected B,1,h,w"),
        ((2, 4, 5), (2, 2, 4, 5), (2, 4, 5), "expected B,1,h,w"),
        ((2, 1, 4, 5), (2, 1, 4, 5), (2, 4, 5), "B,2,h,w"),
        ((2, 1, 1, 1), (2, 2, 1, 1), (2, 1, 1), "no pairs"),
    ],
)
def test_wrong_shapes_are_refused_with_a_reason(edge, displacement, labels, message):
    with pytest.raises(UserError, match=message):
        relation_loss(torch.zeros(edge), torch.zeros(displacement), torch.zeros(labels, dtype=torch.int64))


def test_wrong_values_are_refused_with_a_reason():
    edge = torch.zeros(1, 1, 4, 5)
    with pytest.raises(UserError, match="integers"):
        relation_loss(edge, None, torch.zeros(1, 4, 5))
    with pytest.raises(UserError, match="radius"):
        relation_loss(edge, None, torch.zeros(1, 4, 5, dtype=torch.int64), radius=1)
    assert len(pair_offsets(10)) == 152
