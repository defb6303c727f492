"""COCO's regions: run lengths against pycocotools, and every malformed one before it reaches that."""

import numpy as np
import pytest

from sscnb.datasets.regions import inside_of

masks = pytest.importorskip("pycocotools.mask")

NAN, INF = float("nan"), float("inf")


def test_run_lengths_are_unfolded_as_pycocotools_does():
    rng = np.random.default_rng(0)
    for share in (0, 0.001, 0.1, 0.5, 1):
        inside = rng.random((70, 90)) < share
        inside[20:40, 30:80] ^= share > 0.05  # long runs, and differences below 0
        packed = masks.encode(np.asfortranarray(inside.astype(np.uint8)))
        assert (inside_of(packed, 70, 90) == inside).all()
        assert (inside_of({**packed, "counts": packed["counts"].decode()}, 70, 90) == inside).all()


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (None, "neither polygons nor run lengths"),
        ({"counts": [6]}, "neither"),
        ({"counts": [5], "size": [2, 3]}, "run lengths are of 5 pixels, the image has 6"),
        ({"counts": [7], "size": [2, 3]}, "run lengths are of 7 pixels"),
        ({"counts": [10**30], "size": [2, 3]}, "pixels, the image has 6"),
        ({"counts": [-1, 7], "size": [2, 3]}, "not whole numbers"),
        ({"counts": [3.0, 3.0], "size": [2, 3]}, "not whole numbers"),
        ({"counts": [[6]], "size": [2, 3]}, "not whole numbers"),
        ({"counts": 6, "size": [2, 3]}, "not whole numbers"),
        ({"counts": [6], "size": [3, 2]}, "of an image of [3, 2]"),
        ({"counts": [6], "size": [2, 10**12]}, "of an image of"),
        ({"counts": "5", "size": [2, 3]}, "run lengths are of 5 pixels"),
        ({"counts": "~", "size": [2, 3]}, "damaged"),
        ({"counts": "%%", "size": [2, 3]}, "damaged"),
        ({"counts": "é", "size": [2, 3]}, "damaged"),
        ({"counts": "o" * 50, "size": [2, 3]}, "damaged"),
        ({"counts": "o", "size": [2, 3]}, "cut off"),
        ([[0, 0, 1, 0, 1, NAN]], "coordinate is nan, in an image of 3x2"),
        ([[0, 0, 1, 0, 1, INF]], "coordinate is inf"),
        ([[0, 0, 10**9, 0, 1, 1]], "coordinate is 1000000000"),
        ([[0, 0, 1, -(10**9), 1, 1]], "coordinate is -1000000000"),
        ([[0, 0, "1", 0, 1, 1]], "coordinate is '1'"),
        ([[0, 0, 1, 0, 1]], "pairs"),
        ([0, 0, 1, 0, 1, 1], "pairs"),
        ([{}], "pairs"),
    ],
)
def test_regions_that_are_malformed(region, expected):
    with pytest.raises(ValueError) as caught:
        inside_of(region, 2, 3)
    assert expected in str(caught.value)


def test_polygons_may_end_a_little_outside():
    inside = inside_of([[-2, -1, 4, -1, 4, 7, -2, 7]], 6, 8)
    expected = np.zeros((6, 8), bool)
    expected[:, :4] = True
    assert (inside == expected).all()
    assert not inside_of([[20, 0, 22, 0, 22, 4]][:0], 6, 8).any()
