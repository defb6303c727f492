"""Failure cases by rule, on masks small enough to count by hand."""

import numpy as np
import pytest

from sscnb.evaluation.failures import FailureRules, attached_background, find_failures, tally


@pytest.fixture
def target():
    """10 x 10: class 1 in the left two columns, class 2 in the right two, a column of 255, 50 pixels of background."""
    mask = np.zeros((10, 10), np.uint8)
    mask[:, :2], mask[:, 2], mask[:, 8:] = 1, 255, 2
    return mask


def test_a_true_mask_has_no_failures(target):
    prediction = np.where(target == 255, 0, target)
    assert find_failures(prediction, target) == []


def test_background_that_hangs_on_to_an_object(target):
    prediction = np.where(target == 255, 0, target)
    prediction[4, 2:7] = 1  # through the ignored column: four pixels of background
    assert find_failures(prediction, target) == []  # 4 of 50 are less than a tenth
    prediction[5, 6] = 1  # below the last of them
    (found,) = find_failures(prediction, target)
    assert found == {"kind": "background", "class": 0, "taken_as": 1, "share": 0.1, "pixels": 5}
    assert attached_background(prediction, target, 1).sum() == 5


def test_regions_of_their_own_do_not_count(target):
    prediction = np.where(target == 255, 0, target)
    prediction[:, 4:6] = 1  # 20 pixels of background that touch no true pixel of class 1
    assert find_failures(prediction, target) == []
    prediction[:, 4:7] = 2  # next to the true class 2, but for column 7
    assert find_failures(prediction, target) == []
    prediction[9, 7] = 2
    (found,) = find_failures(prediction, target)
    assert (found["taken_as"], found["pixels"], found["share"]) == (2, 31, 0.62)


def test_corners_connect(target):
    prediction = np.where(target == 255, 0, target)
    prediction[:3, 4:7] = 2
    prediction[3, 7] = 2
    assert attached_background(prediction, target, 2).sum() == 10


def test_a_class_that_the_image_does_not_show_is_no_cooccurrence(target):
    prediction = np.where(target == 0, 3, np.where(target == 255, 0, target))
    assert find_failures(prediction, target) == []


def test_look_alikes(target):
    prediction = np.where(target == 255, 0, target)
    prediction[:5, 0] = 3  # 5 of the 20 pixels of class 1
    assert find_failures(prediction, target) == []
    prediction[5, 0] = 3
    (found,) = find_failures(prediction, target)
    assert found == {"kind": "look-alike", "class": 1, "taken_as": 3, "share": 0.3, "pixels": 6}
    prediction[:8, 1] = 2  # another class takes more: it is the one that is named
    (found,) = find_failures(prediction, target)
    assert (found["taken_as"], found["pixels"]) == (2, 8)
    assert find_failures(prediction, target, FailureRules(look_alike=0.5)) == []


def test_specks_are_left_out():
    target = np.zeros((20, 20), np.uint8)
    target[0, 0] = 1  # 1 of 400 pixels
    prediction = target.copy()
    prediction[0, 0] = 2
    assert find_failures(prediction, target) == []
    assert len(find_failures(prediction, target, FailureRules(smallest=0.001))) == 1


def test_ignored_pixels_and_empty_images():
    empty = np.full((4, 4), 255, np.uint8)
    assert find_failures(np.ones((4, 4), np.uint8), empty) == []
    target = np.ones((4, 4), np.uint8)
    assert find_failures(np.ones((4, 4), np.uint8), target) == []  # no background to take


def test_tally(target):
    prediction = np.where(target == 255, 0, target)
    prediction[:, :2] = 2
    failures = find_failures(prediction, target) + find_failures(prediction, target)
    table = tally(failures, "look-alike", 3)
    assert table[1, 2] == 2 and table.sum() == 2
    assert tally(failures, "background", 3).sum() == 0
