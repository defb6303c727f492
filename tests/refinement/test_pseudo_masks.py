"""IR labels, pseudo-masks and confidence masks, on maps small enough to work out by hand."""

import sys

import numpy as np
import pytest
import torch

from sscnb.errors import UserError
from sscnb.refinement.pseudo_masks import combine_seeds, confidence_mask, ir_label, pseudo_mask, walk_scores


def image_for(activation):
    return np.zeros((*activation.shape[1:], 3), np.uint8)


def test_all_combinations_of_the_two_seeds():
    strict = np.array([[0, 0, 0, 3, 3, 3]], np.uint8)
    generous = np.array([[0, 3, 7, 0, 3, 7]], np.uint8)
    # A class of the strict seed stays, whatever the generous one says.
    assert combine_seeds(strict, generous).tolist() == [[0, 255, 255, 3, 3, 3]]


def test_ir_label_by_hand_without_crf():
    activation = np.array([[[0.05, 0.2, 0.31, 0.9, 0.30]], [[0.02, 0.1, 0.10, 1.0, 0.29]]], np.float32)
    label = ir_label(activation, np.array([4, 9]), image_for(activation), crf="none")
    assert label.dtype == np.uint8
    # .30 itself is not above the strict threshold.
    assert label.tolist() == [[0, 255, 4, 9, 255]]


def test_thresholds_are_used():
    activation = np.array([[[0.05, 0.2, 0.4]]], np.float32)
    wide = ir_label(activation, [1], image_for(activation), crf="none", foreground=0.5, background=0.0)
    assert wide.tolist() == [[255, 255, 255]]
    equal = ir_label(activation, [1], image_for(activation), crf="none", foreground=0.1, background=0.1)
    assert equal.tolist() == [[0, 1, 1]]  # no room for uncertainty


def test_the_order_of_the_classes_does_not_matter():
    activation = np.random.default_rng(0).random((3, 8, 9)).astype(np.float32)
    image, classes, order = image_for(activation), np.array([2, 5, 17]), [2, 0, 1]
    label = ir_label(activation, classes, image, crf="none", foreground=0.9, background=0.5)
    assert set(np.unique(label)) == {0, 2, 5, 17, 255}
    again = ir_label(activation[order], classes[order], image, crf="none", foreground=0.9, background=0.5)
    assert np.array_equal(label, again)


def test_an_image_without_classes_is_background():
    activation = np.zeros((0, 4, 5), np.float32)
    assert (ir_label(activation, [], image_for(activation), crf="none") == 0).all()


def test_crf_brings_both_seeds_to_the_colours():
    pytest.importorskip("pydensecrf.densecrf", reason="needs the extra [crf]")
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30, 0] = 200
    image[:, 30:, 2] = 200
    activation = np.zeros((1, 40, 60), np.float32)
    activation[0, 5:35, :27] = 0.2  # too small for the red part
    activation[0, 8:32, :33] = 0.8  # reaches into the blue one
    truth = np.where(np.arange(60) < 30, 6, 0) * np.ones((40, 1), int)
    assert (ir_label(activation, [6], image, crf="none") != truth).sum() > 300
    assert np.array_equal(ir_label(activation, [6], image), truth)
    empty = np.zeros((0, 40, 60), np.float32)
    assert (ir_label(empty, [], image) == 0).all()


def test_missing_crf_is_an_error_and_never_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    activation = np.full((1, 4, 5), 0.5, np.float32)
    with pytest.raises(UserError, match='crf="none"'):
        ir_label(activation, [1], image_for(activation))
    assert (ir_label(activation, [1], image_for(activation), crf="none") == 1).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"foreground": 0.05}, "background <= foreground"),
        ({"background": -0.1}, "0 <= background"),
        ({"crf": "dens"}, "did you mean 'dense'"),
        ({"image": np.zeros((5, 4, 3), np.uint8)}, "must agree"),
        ({"classes": [255]}, "1..254"),
        ({"classes": [0]}, "1..254"),
        ({"classes": [1, 2]}, "class indices"),
        ({"activation": np.full((1, 4, 5), 2.0)}, "maximum"),
    ],
)
def test_ir_label_refuses_wrong_input(change, message):
    arguments = {"activation": np.full((1, 4, 5), 0.5), "classes": [1], "image": np.zeros((4, 5, 3), np.uint8)} | change
    with pytest.raises(UserError, match=message):
        ir_label(**({"crf": "none"} | arguments))


def test_walk_scores_share_one_maximum_and_fit_the_image():
    walked = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    walked[1] *= 0.1
    scores = walk_scores(walked, (10, 13))
    assert scores.shape == (2, 10, 13) and scores.dtype == np.float32
    assert scores.max() == 1 and 0 < scores[1].max() < 0.2
    # What was cropped away had only to do with the common divisor.
    whole = walk_scores(walked, (12, 16))[:, :10, :13]
    np.testing.assert_allclose(scores, whole / whole.max(), rtol=1e-5)


def test_walk_scores_are_bilinear_between_cell_centres():
    walked = torch.tensor([[[0.0, 1.0]]])
    expected = np.array([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1], np.float32)
    np.testing.assert_allclose(walk_scores(walked, (1, 8))[0, 0], expected, atol=1e-7)
    # Cropped first, then divided by what is left.
    np.testing.assert_allclose(walk_scores(walked, (1, 5))[0, 0], expected[:5] / (5 / 8), atol=1e-7)


def test_walk_scores_of_nothing():
    assert walk_scores(torch.zeros(0, 2, 2), (7, 8)).shape == (0, 7, 8)
    assert (walk_scores(torch.zeros(2, 2, 2), (7, 8)) == 0).all()
    assert walk_scores(torch.tensor([[[-1e-9, 1.0]]]), (4, 8)).min() == 0
    with pytest.raises(UserError, match="a 9x8 image has 3x2 cells"):
        walk_scores(torch.zeros(1, 2, 2), (9, 8))


def test_pseudo_mask_by_hand():
    scores = np.array([[[0.25, 0.26, 0.1, 1.0]], [[0.0, 0.27, 0.2, 0.9]]], np.float32)
    assert pseudo_mask(scores, np.array([3, 8])).tolist() == [[0, 8, 0, 3]]
    assert pseudo_mask(scores, np.array([3, 8]), threshold=0.05).tolist() == [[3, 8, 8, 3]]
    assert (pseudo_mask(np.zeros((0, 2, 3), np.float32), np.array([], int)) == 0).all()


def test_confidence_keeps_the_surest_half_of_each_class():
    # Margins: class pixels .9 - .25, .5 - .25, .75 - .7 and .3 - .25; background .25 - .1, .25 - 0, .25 - .2.
    scores = np.array([[[0.9, 0.5, 0.75, 0.3, 0.1, 0.0, 0.2]], [[0.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0]]], np.float32)
    mask = pseudo_mask(scores, np.array([3, 8]))
    assert mask.tolist() == [[3, 3, 3, 3, 0, 0, 0]]
    assert confidence_mask(scores, mask).tolist() == [[True, True, False, False, True, True, False]]
    assert confidence_mask(scores, mask, keep=1.0).all()


def test_confidence_equals_a_loop_and_keeps_the_share():
    rng = np.random.default_rng(0)
    scores = rng.random((3, 12, 15)).astype(np.float32)
    mask = pseudo_mask(scores, np.array([2, 5, 9]), threshold=0.5)
    for keep in (0.1, 0.5, 0.8):
        trusted = confidence_mask(scores, mask, threshold=0.5, keep=keep)
        for index in (0, 2, 5, 9):
            margins = {}
            for place in zip(*np.nonzero(mask == index), strict=True):
                ranked = sorted([0.5, *(float(v) for v in scores[:, place[0], place[1]])])
                margins[place] = ranked[-1] - ranked[-2]
            number = int(np.ceil(keep * len(margins)))
            best = sorted(margins, key=margins.get, reverse=True)[:number]
            assert {p for p in margins if trusted[p]} == set(best)


def test_pixels_that_are_equally_sure_are_treated_alike():
    scores = np.zeros((1, 4, 4), np.float32)
    assert confidence_mask(scores, np.zeros((4, 4), np.uint8)).all()
    scores[0, 0] = 0.2  # the only unsure row
    assert confidence_mask(scores, np.zeros((4, 4), np.uint8)).sum() == 12
    assert confidence_mask(np.zeros((0, 2, 3), np.float32), np.zeros((2, 3), np.uint8)).all()


def test_confidence_by_rank_keeps_exactly_half_rounded_down():
    scores = np.array([[[0.9, 0.5, 0.75, 0.3, 0.1, 0.0, 0.2]], [[0.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0]]], np.float32)
    mask = pseudo_mask(scores, np.array([3, 8]))
    trusted = confidence_mask(scores, mask, trust="rank")
    assert trusted.tolist() == [[True, True, False, False, False, True, False]]  # of three background pixels one
    assert confidence_mask(scores, mask, keep=1.0, trust="rank").all()
    assert not confidence_mask(np.zeros((0, 1, 1), np.float32), np.zeros((1, 1), np.uint8), trust="rank").any()


def test_confidence_by_rank_equals_a_sort_of_pixels():
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 6, (3, 12, 15)).astype(np.float32) / 5  # many ties
    mask = pseudo_mask(scores, np.array([2, 5, 9]), threshold=0.5)
    for keep in (0.1, 0.5, 0.8):
        expected = np.zeros(mask.shape, bool)
        for index in np.unique(mask):
            places = [(y, x) for y in range(12) for x in range(15) if mask[y, x] == index]
            ranked = {p: sorted([0.5, *map(float, scores[:, p[0], p[1]])]) for p in places}
            surest = sorted(places, key=lambda p: (ranked[p][-2] - ranked[p][-1], *p))  # noqa: B023
            for place in surest[: int(keep * len(places))]:
                expected[place] = True
        ours = confidence_mask(scores, mask, threshold=0.5, keep=keep, trust="rank")
        assert np.array_equal(ours, expected)
        assert (ours <= confidence_mask(scores, mask, threshold=0.5, keep=keep)).all()


def test_confidence_mirrors_with_the_image():
    scores = np.random.default_rng(1).random((2, 7, 8)).astype(np.float32)
    mask = pseudo_mask(scores, np.array([1, 2]))
    mirrored = confidence_mask(scores[..., ::-1], mask[:, ::-1])
    assert np.array_equal(mirrored, confidence_mask(scores, mask)[:, ::-1])


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_confidence_refuses_wrong_input(keep):
    with pytest.raises(UserError, match="keep"):
        confidence_mask(np.zeros((1, 2, 3), np.float32), np.zeros((2, 3), np.uint8), keep=keep)
    with pytest.raises(UserError, match="n,H,W and H,W"):
        confidence_mask(np.zeros((1, 2, 3), np.float32), np.zeros((3, 2), np.uint8))
    with pytest.raises(UserError, match="trust is 'ranks'; did you mean 'rank'"):
        confidence_mask(np.zeros((1, 2, 3), np.float32), np.zeros((2, 3), np.uint8), trust="ranks")
