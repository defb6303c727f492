"""From activations to seeds at a threshold, and how good they are at every one of them."""

import numpy as np

from sscnb.errors import UserError
from sscnb.evaluation.masks import (
    ConfusionMatrix,
    check_classes,
    check_ignore,
    class_iou,
    defined_mean,
    foreground_errors,
    integers,
)


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
        check_ignore(num_classes, ignore)
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
        target = integers("target", target)
        if winner.shape != target.shape:
            raise UserError(f"the activations are {winner.shape} in size but the target {target.shape}: "
                            "resize them to the mask's size first.")
        counted = target != self.ignore
        target, winner, best = target[counted], winner[counted], best[counted]
        check_classes("the target", target, self.num_classes, f" or {self.ignore} (ignored)")
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
        return {name: np.asarray(value) for name, value in foreground_errors(self.counts()).items()}


def _strongest(
    scores: np.ndarray, classes: np.ndarray, thresholds: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index and activation (H,W) of the strongest class, 0 where none exceeds 0; thresholds comparable to it."""
    scores, classes = np.asarray(scores), np.asarray(classes, np.int64)
    if scores.ndim != 3 or classes.shape != scores.shape[:1] or scores.dtype.kind != "f":
        raise UserError(f"activations must be floating of shape (n, H, W) with n class indices; got {scores.dtype} "
                        f"{scores.shape} with indices {classes.shape}.")
    check_classes("the classes of the activations", classes, num_classes, "", lowest=1)
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
