"""How good are masks and seeds? Confusion counts, and everything that follows from them.

Counts are (C, C) int64, rows the true class, columns the predicted one, class 0 the background. The functions on counts
also take a stack (..., C, C). What is undefined (0/0) is NaN and is left out of means, here as everywhere below.
"""

import numpy as np

from sscnb.errors import UserError


def confusion(prediction: np.ndarray, target: np.ndarray, num_classes: int, ignore: int = 255) -> np.ndarray:
    """Count the pixels of each (true class, predicted class).

    Shapes: prediction, target (H,W) or any equal shape, integers in 0..C-1; result (C,C) int64, rows = target.
    Pixels whose target is `ignore` are not counted, whatever is predicted there; with -1 every pixel is.
    Raises: UserError where the shapes differ, the arrays are not integers, or a counted pixel holds no class.
    """
    prediction, target = _integers("prediction", prediction), _integers("target", target)
    if prediction.shape != target.shape:
        raise UserError(f"the prediction has shape {prediction.shape} but the target {target.shape}: "
                        "compare masks of one size, the photograph's.")
    if prediction.dtype == target.dtype == np.uint8 and num_classes <= 256:
        # Two bytes are one 16-bit code: one histogram holds the counts and, outside its C x C corner, what is no class.
        table = np.bincount((target.astype(np.uint16) << 8 | prediction).ravel(), minlength=1 << 16).reshape(256, 256)
        counts = table[:num_classes, :num_classes].copy()  # not a view that keeps 512 KB alive
        ignored = table[ignore].sum() if 0 <= ignore < 256 else 0
        if counts.sum() + ignored == target.size:
            return counts
    counted = target != ignore
    target, prediction = target[counted], prediction[counted]
    _check_classes("the target", target, num_classes, f" or {ignore} (ignored)")
    _check_classes("the prediction", prediction, num_classes, " wherever the target is not ignored")
    codes = target.astype(np.int64) * num_classes + prediction.astype(np.int64)
    return np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)


class ConfusionMatrix:
    """Confusion counts gathered image by image, and the metrics of all pixels seen so far.

    `counts` is (C,C) int64, rows = target, columns = prediction. Per-class metrics are (C,) in [0,1]. A class in
    neither target nor prediction has IoU NaN and is left out of the mean; one that is never predicted has precision
    NaN, one that is not in the target recall NaN.
    """

    def __init__(self, num_classes: int, ignore: int = 255):
        _check_ignore(num_classes, ignore)
        self.num_classes, self.ignore = num_classes, ignore
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        """Add the pixels of one image, or of any integer arrays of equal shape; see `confusion` for what is refused."""
        self.counts += confusion(prediction, target, self.num_classes, self.ignore)

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add what another matrix has counted, such as another process's share of the images."""
        if (self.num_classes, self.ignore) != (other.num_classes, other.ignore):
            raise UserError(f"confusion matrices of {self.num_classes} classes (ignore {self.ignore}) and of "
                            f"{other.num_classes} (ignore {other.ignore}) cannot be merged.")
        self.counts += other.counts

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        total = ConfusionMatrix(self.num_classes, self.ignore)
        total.merge(self)
        total.merge(other)
        return total

    def iou(self) -> np.ndarray:
        """Intersection over union per class: TP / (TP + FP + FN)."""
        return class_iou(self.counts)

    def miou(self) -> float:
        """Mean IoU over the classes in target or prediction, background included as on VOC; NaN for none."""
        return float(defined_mean(self.iou()))

    def precision(self) -> np.ndarray:
        """Share of the pixels predicted as a class that are that class: TP / (TP + FP)."""
        return ratio(np.diagonal(self.counts), self.counts.sum(0))

    def recall(self) -> np.ndarray:
        """Share of a class's pixels that are predicted as that class: TP / (TP + FN)."""
        return ratio(np.diagonal(self.counts), self.counts.sum(1))

    def accuracy(self) -> float:
        """Share of the counted pixels whose class is right; NaN when there are none."""
        return float(ratio(np.trace(self.counts), self.counts.sum()))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide elementwise, NaN where `whole` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)


def defined_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of the values that are not NaN; NaN when all are."""
    return ratio(np.nansum(values, -1), (~np.isnan(values)).sum(-1))


def class_iou(counts: np.ndarray) -> np.ndarray:
    """IoU per class, (..., C) in [0,1], of counts (..., C, C); NaN for a class in neither target nor prediction."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return ratio(hits, counts.sum(-1) + counts.sum(-2) - hits)


def foreground_errors(counts: np.ndarray) -> dict[str, float | np.ndarray]:
    """Over- and under-activation of the foreground, the errors that the paper is about (Section I, Fig. 1).

    With n[t, p] pixels of true class t predicted as p, 0 the background, and sums over the objects i, j >= 1:

        over     = sum_j n[0, j]        / sum_p n[0, p]     background predicted as any object (false-positive rate)
        under    = sum_i n[i, 0]        / sum_ip n[i, p]    object predicted as background (false-negative rate)
        confused = sum_(i != j) n[i, j] / sum_ip n[i, p]    object predicted as another object

    Shapes: counts (..., C, C); each value a float in [0,1], or an array (...) for a stack; NaN without such pixels.
    """
    objects = counts[..., 1:, :].sum((-2, -1))
    right = np.diagonal(counts, axis1=-2, axis2=-1)[..., 1:].sum(-1)
    errors = {
        "over": ratio(counts[..., 0, 1:].sum(-1), counts[..., 0, :].sum(-1)),
        "under": ratio(counts[..., 1:, 0].sum(-1), objects),
        "confused": ratio(counts[..., 1:, 1:].sum((-2, -1)) - right, objects),
    }
    return {name: value if value.ndim else float(value) for name, value in errors.items()}


def seed_from_activation(scores: np.ndarray, classes: np.ndarray, threshold: float) -> np.ndarray:
    """Turn activations into a seed: argmax over a background plane of value `threshold`, then the present classes.

    Ties go to the first, so that background wins at the threshold itself, then the class named first. The threshold is
    compared in the scores' own precision, as it would be in that plane.

    Shapes: scores (n,H,W) floating in [0,1]; classes (n,) their indices in 1..254; result (H,W) uint8, 0 = background.
    Raises: UserError for scores, classes or a threshold outside these ranges.
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"the seed threshold is {threshold}; activations are in [0, 1], so it must be too.")
    winner, best, (level,) = _strongest(scores, classes, np.array([threshold]), num_classes=255)
    return np.where(best > level, winner, 0).astype(np.uint8)


class ThresholdCurve:
    """Confusion counts of the seeds at every threshold, in one pass over the data.

    A pixel's class at threshold t depends only on its strongest class and whether that class's activation exceeds t. So
    a histogram over (true class, strongest class, number of thresholds passed) holds the whole curve, equal to
    `seed_from_activation` at each threshold. Picking a threshold from it uses ground truth: say so beside the number.

    thresholds: (T,) strictly increasing in [0,1]; by default 0, .01, ... 1. Raises: UserError for others.
    """

    def __init__(self, num_classes: int, thresholds: np.ndarray | None = None, ignore: int = 255):
        _check_ignore(num_classes, ignore)
        # Division gives the doubles that .35 and the like are written as; linspace misses some by one unit.
        self.thresholds = values = np.arange(101) / 100 if thresholds is None else np.asarray(thresholds, float)
        increasing = values.ndim == 1 and values.size and (np.diff(values) > 0).all()
        if not (increasing and values[0] >= 0 and values[-1] <= 1):
            raise UserError(f"thresholds must be a list of increasing numbers in [0, 1], not {values}.")
        self.num_classes, self.ignore = num_classes, ignore
        self._histogram = np.zeros((num_classes, num_classes, values.size + 1), np.int64)

    def update(self, scores: np.ndarray, classes: np.ndarray, target: np.ndarray) -> None:
        """Add one image.

        Shapes: scores (n,H,W) floating in [0,1], n = 0 for an image without any class; classes (n,) in 1..C-1; target
        (H,W) integers in 0..C-1 or `ignore`. Raises: UserError for anything else.
        """
        winner, best, levels = _strongest(scores, classes, self.thresholds, self.num_classes)
        target = _integers("target", target)
        if winner.shape != target.shape:
            raise UserError(f"the activations are {winner.shape} in size but the target {target.shape}: "
                            "resize them to the mask's size first.")
        counted = target != self.ignore
        target, winner, best = target[counted], winner[counted], best[counted]
        _check_classes("the target", target, self.num_classes, f" or {self.ignore} (ignored)")
        passed = np.searchsorted(levels, best)  # thresholds strictly below it: at all others the pixel is background
        codes = np.ravel_multi_index((target.astype(np.int64), winner, passed), self._histogram.shape)
        self._histogram += np.bincount(codes, minlength=self._histogram.size).reshape(self._histogram.shape)

    def counts(self) -> np.ndarray:
        """Confusion counts at every threshold, (T,C,C) int64."""
        # At threshold i an object stays where more than i thresholds are passed: a sum from the far end.
        counts = np.moveaxis(self._histogram, -1, 0)[:0:-1].cumsum(0)[::-1]
        counts[:, :, 0] += self._histogram.sum((1, 2)) - counts.sum(2)
        return counts

    def confusion(self, index: int) -> ConfusionMatrix:
        """Confusion matrix at `thresholds[index]`."""
        matrix = ConfusionMatrix(self.num_classes, self.ignore)
        matrix.counts += self.counts()[index]
        return matrix

    def miou(self) -> np.ndarray:
        """Mean IoU at every threshold, (T,), each over the classes that occur at that threshold."""
        return defined_mean(class_iou(self.counts()))

    def best(self) -> tuple[float, float]:
        """Threshold of the highest mean IoU (the lowest such one) and that mean IoU.

        Raises: UserError when no pixel has been counted.
        """
        miou = self.miou()
        if np.isnan(miou).all():
            raise UserError("there is no best threshold: no pixel has been counted, every mask is empty or ignored.")
        index = np.nanargmax(miou)
        return float(self.thresholds[index]), float(miou[index])

    def errors(self) -> dict[str, np.ndarray]:
        """`foreground_errors` at every threshold, each (T,)."""
        return foreground_errors(self.counts())


def bootstrap_interval(
    per_image_counts: np.ndarray, n: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean IoU when the images are drawn again with replacement (Efron, 1979).

    It covers the choice of images, not of training seeds. A resample leaves out the classes that it holds no pixel of.

    Shapes: per_image_counts (N,C,C), one `confusion` an image; n resamples. Result (low, high) in [0,1].
    Raises: UserError for another shape, no counted pixel, n < 1 or a level outside ]0,1[.
    """
    counts = np.asarray(per_image_counts)
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or not counts.any():
        raise UserError(f"a bootstrap needs counts (images, C, C) with pixels in them; these are {counts.shape}.")
    if n < 1 or not 0 < level < 1:
        raise UserError(f"a bootstrap needs n >= 1 resamples and a level between 0 and 1; got n={n}, level={level}.")
    # IoU needs only hits and union: N x 2C numbers instead of N x C x C. Whole numbers in float64 keep BLAS sums exact.
    hits = np.diagonal(counts, axis1=1, axis2=2)
    parts = np.concatenate([hits, counts.sum(1) + counts.sum(2) - hits], axis=1).astype(float)
    images, rng, means = len(parts), np.random.default_rng(seed), []
    rows = max(1, 2**20 // images)  # about 8 MB of weights at a time
    for start in range(0, n, rows):
        drawn = rng.integers(images, size=(min(rows, n - start), images))
        drawn += np.arange(len(drawn))[:, None] * images
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means.append(defined_mean(ratio(*np.split(weights @ parts, 2, axis=1))))
    low, high = np.nanquantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _strongest(scores, classes, thresholds, num_classes):
    """Index and activation (H,W) of the strongest class, 0 where none exceeds 0; thresholds comparable to it."""
    scores, classes = np.asarray(scores), np.asarray(classes, np.int64)
    if scores.ndim != 3 or classes.shape != scores.shape[:1] or scores.dtype.kind != "f":
        raise UserError(f"activations must be floating of shape (n, H, W) with n class indices; got {scores.dtype} "
                        f"{scores.shape} with indices {classes.shape}.")
    _check_classes("the classes of the activations", classes, num_classes, "", lowest=1)
    levels = thresholds.astype(scores.dtype)
    if scores.dtype == np.float16:  # exact in float32, and half-precision comparisons are slow
        scores, levels = scores.astype(np.float32), levels.astype(np.float32)
    winner, best = np.zeros(scores.shape[1:], np.int64), np.zeros(scores.shape[1:], scores.dtype)
    for plane, index in zip(scores, classes, strict=True):
        winner[plane > best] = index
        best = np.maximum(best, plane)  # keeps NaN, so that the check below sees it
    if best.size and not best.max() <= 1 + 1e-3:  # room for the rounding of a resize in half precision
        raise UserError(f"activations must be in [0, 1] without NaN, but their maximum is {best.max()}: "
                        "divide each class by its maximum first.")
    return winner, best, levels


def _integers(name, array):
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise UserError(f"the {name} holds {array.dtype}, but class indices are integers.")
    return array


def _check_classes(name, values, num_classes, otherwise, lowest=0):
    wrong = np.unique(values[(values < lowest) | (values >= num_classes)])
    if wrong.size:
        some = ", ".join(map(str, wrong[:5])) + (", ..." if wrong.size > 5 else "")
        valid = f"{lowest}..{num_classes - 1}{otherwise}"
        raise UserError(f"{name} holds {some}, but with {num_classes} classes the values are {valid}.")


def _check_ignore(num_classes, ignore):
    if num_classes < 1 or 0 <= ignore < num_classes:
        raise UserError(f"{num_classes} classes, ignore label {ignore}: the label must be no class, of one or more.")
