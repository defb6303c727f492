import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from sscnb.errors import UserError
from sscnb.evaluation.boundary import BoundaryIoU, boundary_counts, boundary_iou, boundary_region


def naive_region(mask, width):
    """The paper's definition for one class: what repeated erosion takes away, the image's edge eroding too."""
    return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)


def blobs(rng, classes=4, shape=(40, 56)):
    coarse = rng.integers(classes, size=(5, 7))
    return np.kron(coarse, np.ones((8, 8), int))[: shape[0], : shape[1]].astype(np.uint8)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_region_is_the_mask_less_its_erosion_for_every_class(width):
    labels = blobs(np.random.default_rng(0))
    region = boundary_region(labels, width)
    for c in range(4):
        assert (region[labels == c] == naive_region(labels == c, width)[labels == c]).all()
    assert 0 < region.mean() <= 1


def test_iou_agrees_with_the_definition_class_by_class():
    rng = np.random.default_rng(1)
    target = blobs(rng)
    prediction = np.roll(target, (1, 2), (0, 1))
    width = round(0.03 * np.hypot(40, 56))
    expected = []
    for c in range(4):
        a, b = naive_region(prediction == c, width), naive_region(target == c, width)
        expected.append((a & b).sum() / (a | b).sum())
    result = boundary_iou(prediction, target, 5, dilation_ratio=0.03)
    np.testing.assert_allclose(result[:4], expected, rtol=1e-12)
    assert np.isnan(result[4])


def test_square_by_hand():
    target, prediction = np.zeros((2, 10, 10), np.uint8)
    target[2:6, 2:6] = 1
    prediction[2:6, 3:7] = 1
    # width 1: rings of 12 pixels each; shifted by one they share 3 of the top row, 3 of the bottom row and no side
    intersection, union = boundary_counts(prediction, target, 2)
    assert (intersection[1], union[1]) == (6, 18)


def test_masks_against_themselves_are_perfect_with_a_rim_of_ignored_pixels():
    target = np.zeros((30, 30), np.uint8)
    target[8:22, 8:22] = 255
    target[10:20, 10:20] = 3
    assert boundary_iou(target, target, 4, dilation_ratio=0.1)[[0, 3]].tolist() == [1, 1]
    assert np.isnan(boundary_iou(target, target, 4)[3])  # a strip of one pixel lies within the rim
    truth = np.zeros((30, 30), np.uint8)
    truth[9:21, 9:21] = 3  # contour in the middle of the rim
    np.testing.assert_array_equal(boundary_iou(truth, target, 4, dilation_ratio=0.1), [1, np.nan, np.nan, 1])
    everything = np.full_like(target, 3)
    assert boundary_iou(everything, target, 4, dilation_ratio=0.1)[3] < 0.1  # the rim does not give the contour away


def test_images_are_summed_before_dividing_and_ignored_ones_add_nothing():
    rng = np.random.default_rng(2)
    pairs = [(blobs(rng), blobs(rng)) for _ in range(3)] + [(blobs(rng), np.full((40, 56), 255, np.uint8))]
    metric = BoundaryIoU(4)
    for pair in pairs:
        metric.update(*pair)
    counts = np.sum([boundary_counts(*pair, 4) for pair in pairs], axis=0)
    np.testing.assert_allclose(metric.iou(), counts[0] / counts[1])
    assert metric.miou() == pytest.approx(metric.iou().mean())


def test_wrong_masks_are_refused():
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(UserError, match="shape"):
        boundary_iou(mask, mask[:2], 2)
    with pytest.raises(UserError, match="prediction holds 2"):
        boundary_iou(mask + 2, mask, 2)
    with pytest.raises(UserError, match="positive ratio"):
        boundary_iou(mask, mask, 2, dilation_ratio=0)
