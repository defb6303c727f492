import numpy as np
import pytest
from sklearn import metrics

from sscnb.errors import UserError
from sscnb.evaluation.bootstrap import bootstrap_interval
from sscnb.evaluation.classification import average_precision, image_accuracy, mean_average_precision
from sscnb.evaluation.masks import ConfusionMatrix, class_iou, confusion, defined_mean, foreground_errors
from sscnb.evaluation.thresholds import ThresholdCurve, seed_from_activation


def random_pair(rng, classes=6, shape=(23, 31), dtype=np.uint8, ignored=0.2):
    target = rng.integers(classes, size=shape).astype(dtype)
    prediction = np.where(rng.random(shape) < 0.5, target, rng.integers(classes, size=shape)).astype(dtype)
    target[rng.random(shape) < ignored] = 255
    return prediction, target


def matrix_of(prediction, target, classes):
    matrix = ConfusionMatrix(classes)
    matrix.update(prediction, target)
    return matrix


def test_two_by_two_by_hand():
    matrix = matrix_of(np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 255]]), 2)
    assert matrix.counts.tolist() == [[1, 1], [0, 1]] and matrix.counts.dtype == np.int64
    assert matrix.iou().tolist() == [0.5, 0.5] and matrix.miou() == 0.5
    assert matrix.precision().tolist() == [1, 0.5]
    assert matrix.recall().tolist() == [0.5, 1]
    assert matrix.accuracy() == pytest.approx(2 / 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16])
def test_agrees_with_scikit_learn(dtype):
    prediction, target = random_pair(np.random.default_rng(1), dtype=dtype)
    matrix = matrix_of(prediction, target, 6)
    counted = target != 255
    true, predicted = target[counted], prediction[counted]
    assert (matrix.counts == metrics.confusion_matrix(true, predicted, labels=range(6))).all()
    np.testing.assert_allclose(matrix.iou(), metrics.jaccard_score(true, predicted, average=None), rtol=1e-12)
    np.testing.assert_allclose(matrix.miou(), metrics.jaccard_score(true, predicted, average="macro"), rtol=1e-12)
    np.testing.assert_allclose(matrix.precision(), metrics.precision_score(true, predicted, average=None), rtol=1e-12)
    np.testing.assert_allclose(matrix.recall(), metrics.recall_score(true, predicted, average=None), rtol=1e-12)
    assert matrix.accuracy() == pytest.approx(metrics.accuracy_score(true, predicted))


def test_the_byte_path_is_the_general_path():
    rng = np.random.default_rng(2)
    for classes in (1, 2, 21, 200, 255):
        prediction, target = random_pair(rng, classes)
        expected = confusion(prediction.astype(np.int64), target.astype(np.int64), classes)
        assert (confusion(prediction, target, classes) == expected).all()
    prediction, target = random_pair(rng, 256, ignored=0)
    assert confusion(prediction, target, 256, ignore=-1).sum() == target.size


def test_predictions_at_ignored_pixels_are_not_looked_at():
    prediction, target = random_pair(np.random.default_rng(3))
    other = np.where(target == 255, 255, prediction)
    assert (confusion(prediction, target, 6) == confusion(other, target, 6)).all()


def test_absent_classes_are_nan_and_left_out_of_the_mean():
    matrix = matrix_of(np.array([0, 0, 3]), np.array([0, 1, 3]), 5)
    np.testing.assert_array_equal(matrix.iou(), [0.5, 0, np.nan, 1, np.nan])
    assert matrix.miou() == 0.5
    np.testing.assert_array_equal(matrix.precision(), [0.5, np.nan, np.nan, 1, np.nan])
    np.testing.assert_array_equal(matrix.recall(), [1, 0, np.nan, 1, np.nan])
    empty = ConfusionMatrix(3)
    assert np.isnan([empty.miou(), empty.accuracy()]).all() and np.isnan(empty.iou()).all()


def test_masks_against_themselves_are_perfect():
    _, target = random_pair(np.random.default_rng(4))
    matrix = matrix_of(target, target, 6)
    assert matrix.miou() == 1 and matrix.accuracy() == 1
    assert foreground_errors(matrix.counts) == {"over": 0, "under": 0, "confused": 0}


def test_renaming_the_classes_permutes_the_metrics():
    rng = np.random.default_rng(5)
    prediction, target = random_pair(rng)
    names = rng.permutation(6)
    renamed = np.append(names, np.full(250, 255)).astype(np.uint8)
    first, second = matrix_of(prediction, target, 6), matrix_of(renamed[prediction], renamed[target], 6)
    assert (second.iou()[names] == first.iou()).all()
    assert second.miou() == pytest.approx(first.miou())


def test_merging_is_streaming():
    rng = np.random.default_rng(6)
    pairs = [random_pair(rng) for _ in range(5)]
    whole, left, right = ConfusionMatrix(6), ConfusionMatrix(6), ConfusionMatrix(6)
    for i, pair in enumerate(pairs):
        whole.update(*pair)
        (left if i % 2 else right).update(*pair)
    before = left.counts.copy()
    assert ((left + right).counts == whole.counts).all() and (left.counts == before).all()
    left.merge(right)
    assert (left.counts == whole.counts).all()
    with pytest.raises(UserError, match="6 classes.*7.*cannot be merged"):
        left.merge(ConfusionMatrix(7))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_wrong_masks_are_refused_and_leave_the_counts_alone(dtype):
    good = np.zeros((2, 3), dtype)
    wrong = good.copy()
    wrong[1, 2] = 7
    matrix = matrix_of(good, good, 3)
    with pytest.raises(UserError, match=r"\(3, 2\).*\(2, 3\)"):
        matrix.update(good.T, good)
    with pytest.raises(UserError, match=r"prediction holds 7, but with 3 classes the values are 0\.\.2"):
        matrix.update(wrong, good)
    with pytest.raises(UserError, match=r"target holds 7.*255 \(ignored\)"):
        matrix.update(good, wrong)
    with pytest.raises(UserError, match="prediction holds 255"):
        matrix.update(np.full_like(good, 255), good)
    with pytest.raises(UserError, match="float64"):
        matrix.update(good.astype(float), good)
    assert matrix.counts.sum() == 6


def test_negative_labels_and_an_ignore_label_that_is_a_class_are_refused():
    with pytest.raises(UserError, match="target holds -1"):
        confusion(np.zeros(2, int), np.array([0, -1]), 2)
    for make in (ConfusionMatrix, ThresholdCurve):
        with pytest.raises(UserError, match="ignore label"):
            make(256)


def test_foreground_errors_by_hand():
    # background: 8 right, 2 as class 1. objects: 10 pixels, 3 as background, 1 confused, 6 right.
    counts = np.array([[8, 2, 0], [1, 4, 1], [2, 0, 2]])
    assert foreground_errors(counts) == {"over": 0.2, "under": 0.3, "confused": 0.1}
    stack = foreground_errors(np.stack([counts, np.zeros((3, 3), int)]))
    np.testing.assert_array_equal(stack["over"], [0.2, np.nan])
    np.testing.assert_array_equal(stack["under"], [0.3, np.nan])


def naive_seed(scores, classes, threshold):
    plane = np.full((1, *scores.shape[1:]), threshold, scores.dtype)
    return np.append(0, classes)[np.concatenate([plane, scores]).argmax(0)].astype(np.uint8)


def activations(rng, kind, n, shape=(19, 17)):
    """Scores many of which tie with one another and lie exactly on a threshold."""
    scores = rng.random((n, *shape))
    on_grid = np.round(scores, 2)
    scores = np.where(rng.random(scores.shape) < 0.5, on_grid, scores)
    scores[rng.random(scores.shape) < 0.1] = 0
    scores[rng.random(scores.shape) < 0.05] = 1
    if kind == "float16 as float32":
        return scores.astype(np.float16).astype(np.float32)
    return scores.astype(kind)


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "float16 as float32"])
def test_threshold_curve_is_the_naive_curve(kind):
    rng = np.random.default_rng(7)
    curve = ThresholdCurve(6)
    naive = [ConfusionMatrix(6) for _ in curve.thresholds]
    for n in (2, 0, 1, 3, 5):
        scores, classes = activations(rng, kind, n), rng.permutation(np.arange(1, 6))[:n]
        _, target = random_pair(rng, shape=scores.shape[1:])
        curve.update(scores, classes, target)
        for threshold, matrix in zip(curve.thresholds, naive, strict=True):
            seed = naive_seed(scores, classes, threshold)
            assert (seed_from_activation(scores, classes, threshold) == seed).all()
            matrix.update(seed, target)
    assert (curve.counts() == np.stack([m.counts for m in naive])).all()
    assert (curve.confusion(20).counts == naive[20].counts).all()
    np.testing.assert_allclose(curve.miou(), [m.miou() for m in naive], rtol=1e-12)
    threshold, miou = curve.best()
    assert miou == curve.miou().max() and threshold == curve.thresholds[curve.miou().argmax()]
    errors = [foreground_errors(m.counts) for m in naive]
    for name, values in curve.errors().items():
        np.testing.assert_allclose(values, [e[name] for e in errors], rtol=1e-12)
    assert (np.diff(curve.errors()["over"]) <= 0).all() and (np.diff(curve.errors()["under"]) >= 0).all()


def test_default_thresholds_are_the_numbers_as_written():
    assert ThresholdCurve(2).thresholds.tolist() == [float(f"{i / 100:.2f}") for i in range(101)]


def test_seed_by_hand():
    scores = np.array([[[0.1, 0.2, 0.5, 0.5]], [[0.0, 0.1, 0.5, 0.9]]], np.float32)
    seed = seed_from_activation(scores, [7, 3], 0.2)
    assert seed.tolist() == [[0, 0, 7, 3]] and seed.dtype == np.uint8  # .2 is a tie with background, .5 with class 7
    assert not seed_from_activation(np.zeros((0, 2, 2), np.float32), [], 0.2).any()


def test_without_counted_pixels_there_is_no_best_threshold():
    curve = ThresholdCurve(3, thresholds=[0.2, 0.4])
    curve.update(np.ones((1, 2, 2)), [1], np.full((2, 2), 255))
    with pytest.raises(UserError, match="no pixel has been counted"):
        curve.best()


def test_wrong_activations_are_refused():
    curve, target = ThresholdCurve(3), np.zeros((2, 2), np.uint8)
    scores = np.full((1, 2, 2), 0.5)
    with pytest.raises(UserError, match=r"holds 0, but with 3 classes the values are 1\.\.2"):
        curve.update(scores, [0], target)
    with pytest.raises(UserError, match="holds 3"):
        curve.update(scores, [3], target)
    with pytest.raises(UserError, match="indices"):
        curve.update(scores, [1, 2], target)
    with pytest.raises(UserError, match="resize"):
        curve.update(scores, [1], target[:1])
    with pytest.raises(UserError, match="target holds 9"):
        curve.update(scores, [1], target + 9)
    with pytest.raises(UserError, match="int64"):
        curve.update(np.ones((1, 2, 2), np.int64), [1], target)
    for bad in (np.nan, np.inf, 3.0):
        with pytest.raises(UserError, match="divide each class by its maximum"):
            curve.update(np.where(np.eye(2), bad, scores), [1], target)
    assert not curve.counts().any()
    with pytest.raises(UserError, match="threshold is 20"):
        seed_from_activation(scores, [1], 20)
    for thresholds in ([], [0.3, 0.2], [0.5, 1.5], [np.nan], 0.2):
        with pytest.raises(UserError, match="increasing numbers"):
            ThresholdCurve(3, thresholds)


def test_average_precision_agrees_with_scikit_learn():
    rng = np.random.default_rng(8)
    labels = (rng.random((60, 7)) < 0.3).astype(np.float32)
    scores = np.round(rng.normal(size=labels.shape) + labels, 1)  # rounded: many ties
    scores[:, 1] = 0  # nothing but one tie
    labels[:, 2], labels[:, 3] = 0, 1
    expected = [metrics.average_precision_score(labels[:, c], scores[:, c]) for c in (0, 1, 3, 4, 5, 6)]
    result = average_precision(scores, labels)
    np.testing.assert_allclose(np.delete(result, 2), expected, rtol=1e-12)
    assert np.isnan(result[2])
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(expected))


def test_average_precision_and_image_accuracy_by_hand():
    logits = np.array([[2.0, -1.0], [1.0, 0.0], [-1.0, -2.0]])
    labels = np.array([[1, 0], [0, 1], [1, 0]])
    # class 0 ranks 1 0 1: 1/2 * 1 + 1/2 * 2/3; class 1 ranks its only positive first
    np.testing.assert_allclose(average_precision(logits, labels), [5 / 6, 1])
    # a logit of exactly 0 is not predicted: rows right are the first alone, labels right 3 of 6
    assert image_accuracy(logits, labels) == {"exact_match": pytest.approx(1 / 3), "label_accuracy": 0.5}
    with pytest.raises(UserError, match="0 or 1"):
        image_accuracy(logits, labels * 2)
    with pytest.raises(UserError, match="both be"):
        average_precision(logits, labels[:2])


def test_bootstrap_is_the_naive_bootstrap():
    rng = np.random.default_rng(9)
    counts = np.stack([confusion(*random_pair(rng, 4, (5, 5)), 4) for _ in range(12)])
    drawn = np.random.default_rng(3).integers(12, size=(200, 12))
    means = [defined_mean(class_iou(counts[row].sum(0))) for row in drawn]
    expected = np.quantile(means, [0.05, 0.95])
    low, high = bootstrap_interval(counts, n=200, seed=3, level=0.9)
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    assert low < defined_mean(class_iou(counts.sum(0))) < high


def test_bootstrap_in_several_portions_and_without_spread():
    rng = np.random.default_rng(10)
    counts = np.stack([confusion(*random_pair(rng, 3, (2, 2)), 3) for _ in range(3000)])
    drawn = np.random.default_rng(0).integers(3000, size=(400, 3000))  # more than one portion of weights holds
    means = [defined_mean(class_iou(np.tensordot(np.bincount(row, minlength=3000), counts, 1))) for row in drawn]
    np.testing.assert_allclose(bootstrap_interval(counts, n=400), np.quantile(means, [0.025, 0.975]), rtol=1e-12)
    same = np.repeat(counts[:1] + 1, 5, axis=0)
    low, high = bootstrap_interval(same, n=50)
    assert low == high == pytest.approx(defined_mean(class_iou(same[0])))
    for wrong in (counts[:0], counts[0], np.ones((2, 3, 4)), counts * 0):
        with pytest.raises(UserError, match="bootstrap needs counts"):
            bootstrap_interval(wrong)
    with pytest.raises(UserError, match="level"):
        bootstrap_interval(counts, level=95)
