"""How good are masks? Confusion counts, and everything that follows from them.

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
    prediction, target = integers("prediction", prediction), integers("target", target)
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
    check_classes("the target", target, num_classes, f" or {ignore} (ignored)")
    check_classes("the prediction", prediction, num_classes, " wherever the target is not ignored")
    codes = target.astype(np.int64) * num_classes + prediction.astype(np.int64)
    return np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)


class ConfusionMatrix:
    """Confusion counts gathered image by image, and the metrics of all pixels seen so far.

    `counts` is (C,C) int64, rows = target, columns = prediction. Per-class metrics are (C,) in [0,1]. A class in
    neither target nor prediction has IoU NaN and is left out of the mean; one that is never predicted has precision
    NaN, one that is not in the target recall NaN.

    Example: four pixels, one of which is ignored and one wrong.
        >>> matrix = ConfusionMatrix(num_classes=2)
        >>> matrix.update(prediction=np.array([0, 1, 1, 0]), target=np.array([0, 1, 0, 255]))
        >>> matrix.counts.tolist(), matrix.miou()
        ([[1, 1], [0, 1]], 0.5)
    """

    def __init__(self, num_classes: int, ignore: int = 255):
        check_ignore(num_classes, ignore)
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

    With n[t, p] pixels of true class t predicted as p, 0 the background, and sums over the objects i, j >= 1::

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


def integers(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise UserError(f"the {name} holds {array.dtype}, but class indices are integers.")
    return array


def check_classes(name: str, values: np.ndarray, num_classes: int, otherwise: str, lowest: int = 0) -> None:
    wrong = np.unique(values[(values < lowest) | (values >= num_classes)])
    if wrong.size:
        some = ", ".join(map(str, wrong[:5])) + (", ..." if wrong.size > 5 else "")
        valid = f"{lowest}..{num_classes - 1}{otherwise}"
        raise UserError(f"{name} holds {some}, but with {num_classes} classes the values are {valid}.")


def check_ignore(num_classes: int, ignore: int) -> None:
    if num_classes < 1 or 0 <= ignore < num_classes:
        raise UserError(f"{num_classes} classes, ignore label {ignore}: the label must be no class, of one or more.")
