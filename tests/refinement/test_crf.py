"""The dense CRF's wrapper: what it sharpens, what it refuses, and what is said where it is not installed."""

import sys

import numpy as np
import pytest

from sscnb.errors import UserError
from sscnb.refinement.crf import Potentials, refine_labels, refine_probabilities, require_crf


def two_colours(height=40, width=60, boundary=30):
    """A red left and a blue right part."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :boundary, 0] = 200
    image[:, boundary:, 2] = 200
    return image


@pytest.fixture
def crf():
    pytest.importorskip("pydensecrf.densecrf", reason="needs the extra [crf]")


def test_labels_move_to_the_boundary_of_the_colours(crf):
    truth = np.zeros((40, 60), np.uint8)
    truth[:, :30] = 1
    rough = np.zeros_like(truth)
    rough[5:35, :36] = 1  # misses the top and the bottom of the red part, and reaches into the blue one
    rough[20, 50] = 1
    assert (rough != truth).sum() > 400
    assert np.array_equal(refine_labels(two_colours(), rough, 2), truth)
    assert refine_labels(two_colours(), rough.astype(np.int64), 2).dtype == np.uint8


def test_probabilities_move_to_the_boundary_of_the_colours(crf):
    columns = np.arange(60)
    first = 1 / (1 + np.exp((columns - 34) / 4.0))  # crosses one half four pixels to the right of the boundary
    probabilities = np.broadcast_to(np.stack([first, 1 - first])[:, None], (2, 40, 60))
    refined = refine_probabilities(two_colours(), probabilities)
    assert refined.shape == (2, 40, 60) and refined.dtype == np.float32
    np.testing.assert_allclose(refined.sum(0), 1, atol=1e-5)
    assert np.array_equal(refined.argmax(0) == 0, np.broadcast_to(columns < 30, (40, 60)))


def test_without_pairwise_terms_the_probabilities_come_back(crf):
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], size=(6, 7)).transpose(2, 0, 1)
    none = Potentials(gaussian_compat=0, bilateral_compat=0)
    refined = refine_probabilities(two_colours(6, 7, 3), probabilities, potentials=none)
    np.testing.assert_allclose(refined, probabilities, atol=1e-4)


def test_a_label_is_believed_with_gt_prob(crf):
    # Both terms together pull at a lone pixel with at most 2; belief resists with log(gt_prob / (1 - gt_prob)).
    weak = Potentials(gaussian_compat=1, bilateral_compat=1)
    labels = np.zeros((9, 9), int)
    labels[4, 4] = 1
    image = np.full((9, 9, 3), 77, np.uint8)
    assert refine_labels(image, labels, 2, gt_prob=0.6, potentials=weak)[4, 4] == 0  # .41
    assert refine_labels(image, labels, 2, gt_prob=0.9, potentials=weak)[4, 4] == 1  # 2.2
    # With three labels, the other two share what is left.
    labels[0, 0] = 2
    given = np.where(labels == np.arange(3)[:, None, None], 0.6, 0.2)
    expected = refine_probabilities(image, given, potentials=weak).argmax(0)
    assert np.array_equal(refine_labels(image, labels, 3, gt_prob=0.6, potentials=weak), expected)


def test_the_same_input_gives_the_same_bits(crf):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 20, 3), np.uint8)
    probabilities = rng.dirichlet([1, 1, 1, 1], size=(30, 20)).transpose(2, 0, 1)
    first = refine_probabilities(image, probabilities)
    assert np.array_equal(first, refine_probabilities(image, probabilities))
    # Views and read-only arrays too: the memory's layout is no part of the input.
    image.flags.writeable = False
    assert np.array_equal(first, refine_probabilities(np.asfortranarray(image), np.asfortranarray(probabilities)))
    assert np.array_equal(
        refine_probabilities(image[:, ::-1], probabilities[..., ::-1]),
        refine_probabilities(image[:, ::-1].copy(), probabilities[..., ::-1].copy()),
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 5)])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_degenerate_images(crf, shape, number):
    labels = np.full(shape, number - 1)
    image = np.full((*shape, 3), 77, np.uint8)
    assert np.array_equal(refine_labels(image, labels, number), labels)


def test_without_the_package_the_message_names_both_ways_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    for call in (
        require_crf,
        lambda: refine_labels(two_colours(), np.zeros((40, 60), int), 2),
        lambda: refine_probabilities(two_colours(), np.full((2, 40, 60), 0.5)),
    ):
        with pytest.raises(UserError, match=r"pip install '\.\[crf\]'.*C\+\+ compiler.*crf=\"none\""):
            call()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((4, 5, 3))}, "uint8"),
        ({"image": np.zeros((5, 4, 3), np.uint8)}, "must agree"),
        ({"image": np.zeros((4, 5), np.uint8)}, "H,W,3"),
        ({"labels": np.full((4, 5), 2)}, r"2\.\.2; expected 0\.\.1"),
        ({"labels": np.full((4, 5), -1)}, r"-1\.\.-1"),
        ({"labels": np.zeros((4, 5))}, "integers"),
        ({"num_labels": 0}, "num_labels is 0"),
        ({"num_labels": 300}, "num_labels is 300"),
        ({"gt_prob": 1.0}, "gt_prob"),
    ],
)
def test_wrong_labels_are_refused_with_a_reason(crf, change, message):
    arguments = {"image": np.zeros((4, 5, 3), np.uint8), "labels": np.zeros((4, 5), int), "num_labels": 2} | change
    with pytest.raises(UserError, match=message):
        refine_labels(**arguments)


@pytest.mark.parametrize("value", [np.nan, -0.1, 3.0])
def test_logits_are_not_taken_for_probabilities(crf, value):
    with pytest.raises(UserError, match="softmax"):
        refine_probabilities(two_colours(4, 5, 2), np.full((2, 4, 5), value))
