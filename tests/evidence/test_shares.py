"""Shares in percent, against values counted by hand."""

import numpy as np

from sscnb.evidence import shares


def test_percent_of_nothing_is_a_gap():
    half, gap = shares.percent([0.5, None])
    assert half == 50 and np.isnan(gap)


def test_classes_keep_the_order_of_the_rows():
    rows = [("seed/mIoU", 0.9), ("seed/IoU/background", 0.5), ("seed/IoU/cow", None), ("seed/IoU/ape", 0.25)]
    rows = [{"metric": metric, "value": value} for metric, value in rows]
    np.testing.assert_array_equal(shares.class_percent(rows, "seed/IoU"), [50, np.nan, 25])


def test_rows_of_counts_add_up_to_a_hundred():
    np.testing.assert_allclose(
        shares.row_percent([[3, 1, 0], [0, 0, 0], [2, 0, 6]]), [[75, 25, 0], [0] * 3, [25, 0, 75]]
    )


def test_who_stands_beside_whom():
    # Two cows, one of them with a dog; three dogs; no sheep.
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(shares.co_occurrence(labels), [[100, 50, 0], [100 / 3, 100, 0], [0, 0, 0]], rtol=1e-6)


def test_what_a_class_covers_leaves_ignored_pixels_out():
    mask = np.array([[0, 0, 1, 1], [0, 3, 1, 255], [0, 3, 255, 255]], np.uint8)  # nine pixels are counted
    np.testing.assert_allclose(shares.covered(mask, 3), [100 * 3 / 9, np.nan, 100 * 2 / 9])
    assert np.isnan(shares.covered(np.full((2, 2), 255, np.uint8), 3)).all()
