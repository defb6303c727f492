"""The relations of one cell: against affinities pair by pair, and against the walk of the whole map."""

import pytest
import torch

from sscnb.refinement.affinity import path_cells
from sscnb.refinement.one_cell import cell_affinities, strongest_cell, walk_from
from sscnb.refinement.walk import random_walk

EDGE = torch.rand(6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def expected_affinities(cell, radius, beta):
    """One pair at a time, the path walked from whichever end comes first in raster order."""
    result = torch.zeros_like(EDGE)
    for y in range(EDGE.shape[0]):
        for x in range(EDGE.shape[1]):
            first, second = sorted([cell, (y, x)])
            offset = second[0] - first[0], second[1] - first[1]
            if offset == (0, 0):
                result[y, x] = 1
            elif offset[0] ** 2 + offset[1] ** 2 < radius**2:
                path = [EDGE[first[0] + dy, first[1] + dx] for dy, dx in path_cells(offset)]
                result[y, x] = (1 - max(path)) ** beta
    return result


@pytest.mark.parametrize("cell", [(3, 4), (0, 0), (5, 7), (0, 5)])
def test_affinities_of_a_cell_are_those_of_its_pairs(cell):
    found = cell_affinities(EDGE, cell, radius=4, beta=3)
    torch.testing.assert_close(found, expected_affinities(cell, 4, 3))


def test_affinities_are_mutual():
    one, other = (2, 3), (4, 1)
    there = cell_affinities(EDGE, one, radius=5, beta=2)[other]
    assert there == cell_affinities(EDGE, other, radius=5, beta=2)[one] and 0 < there < 1


def test_the_strongest_cell():
    cams = torch.zeros(2, 3, 5)
    cams[0, 1, 2], cams[1, 2, 4], cams[1, 2, 1] = 0.5, 0.75, 0.75
    assert strongest_cell(cams, torch.zeros(3, 5)) == (2, 1)
    assert strongest_cell(torch.zeros(0, 3, 5), torch.zeros(3, 5)) == (1, 2)


def test_a_walk_from_a_cell_is_that_of_a_map_with_this_cell_alone():
    start = torch.zeros_like(EDGE)
    start[2, 3] = 1
    walked = random_walk(start[None], EDGE, radius=3, beta=2, steps=9)[0]
    found = walk_from(EDGE, (2, 3), radius=3, beta=2, steps=9)
    torch.testing.assert_close(found, walked / walked.max())
    assert found.max() == 1


def test_a_walk_stays_behind_a_wall():
    edge = torch.zeros(5, 9)
    edge[:, 4] = 1
    found = walk_from(edge, (2, 1), radius=3, beta=10, steps=64)
    assert found[:, :4].min() > 0.1 and found[:, 5:].abs().max() < 1e-4
