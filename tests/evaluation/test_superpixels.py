"""Superpixels against masks, by hand."""

import numpy as np
import pytest

from sscnb.evaluation.superpixels import boundary_recall, undersegmentation_error


def test_boundary_recall_by_hand():
    mask = np.zeros((10, 20), np.uint8)
    mask[:, 10:] = 1
    cut = np.zeros((10, 20), int)
    for column, expected in ((10, 1.0), (12, 1.0), (8, 1.0), (13, 0.5), (14, 0.0)):
        cut[:] = np.arange(20) >= column
        assert boundary_recall(cut, mask) == expected, column
    assert boundary_recall(cut, mask, tolerance=4) == 1.0
    half = cut * 0
    half[:5] = np.arange(20) >= 10  # both columns in five rows, and its lower side meets the right one in a sixth
    assert boundary_recall(half, mask, tolerance=0) == pytest.approx((10 + 1) / 20)


def test_boundary_recall_leaves_255_out():
    mask = np.array([[0] * 5 + [255] * 3 + [1] * 5] * 4)
    assert np.isnan(boundary_recall(np.zeros_like(mask), mask))
    mask[0, 5:8] = 0  # one row without the rim: its own two boundary pixels are all that counts
    cut = np.zeros_like(mask)
    cut[0, 8:] = 1
    assert boundary_recall(cut, mask) == 1.0
    assert boundary_recall(np.zeros_like(mask), mask) == 0.0


def test_undersegmentation_error_by_hand():
    mask = np.array([[0, 0, 0, 1, 1, 255]])
    assert undersegmentation_error(np.array([[0, 0, 0, 1, 1, 1]]), mask) == 0
    # The first superpixel leaks min(3, 1) into each class, the second nothing: 2 of 5 labelled pixels.
    assert undersegmentation_error(np.array([[0, 0, 0, 0, 1, 1]]), mask) == pytest.approx(2 / 5)
    assert np.isnan(undersegmentation_error(np.zeros((2, 2), int), np.full((2, 2), 255)))
