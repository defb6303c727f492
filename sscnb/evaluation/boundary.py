"""Boundary IoU (Cheng et al., CVPR 2021): IoU of the strips along the contours, where mask IoU hardly looks."""

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

from sscnb.errors import UserError
from sscnb.evaluation.masks import confusion, defined_mean, ratio


def boundary_region(labels: np.ndarray, width: int) -> np.ndarray:
    """Mark the pixels within `width` of the contour of their own class's region, the image's edge being a contour too.

    Equal, for all classes at once, to every class mask minus its erosion by a square of 2 width + 1.

    Shapes: labels (H,W) integers >= 0; width in pixels, >= 1; result (H,W) bool.
    """
    labels, size = labels.astype(np.int32), 2 * width + 1  # signed, for the -1
    # A pixel lies inside its region when its whole window holds one label; around the image stands a label of its own.
    edge = {"mode": "constant", "cval": -1}
    return maximum_filter(labels, size, **edge) != minimum_filter(labels, size, **edge)


def boundary_counts(
    prediction: np.ndarray, target: np.ndarray, num_classes: int, *, dilation_ratio: float = 0.02, ignore: int = 255
) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union of the boundary regions of one image, in pixels per class.

    The width is `dilation_ratio` of the image's diagonal, rounded, at least one pixel. Ignored pixels are not counted,
    and to find the contours they take the label of the nearest pixel that is not ignored: VOC's 255 rim between object
    and background is split down its middle, where a good prediction has its contour. A strip that is narrower than
    half the rim lies within it, and leaves nothing to count.

    Shapes: prediction, target (H,W) integers in 0..C-1 (target also `ignore`); results (C,) int64.
    Raises: UserError for masks that are not (H,W), a ratio that is not positive, and whatever `confusion` refuses.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if target.ndim != 2 or not dilation_ratio > 0:
        raise UserError(f"boundary IoU takes masks (H, W) and a positive ratio; got {target.shape}, {dilation_ratio}.")
    confusion(prediction, target, num_classes, ignore)  # refuses what is no pair of masks
    prediction, target = prediction.astype(np.int64), target.astype(np.int64)
    counted = target != ignore
    if not counted.any():
        return np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)
    width = max(1, round(dilation_ratio * float(np.hypot(*target.shape))))
    predicted = boundary_region(_fill(prediction, ignore), width) & counted
    true = boundary_region(_fill(target, ignore), width) & counted
    both = np.bincount(target[predicted & true & (prediction == target)], minlength=num_classes)
    sizes = [np.bincount(x, minlength=num_classes) for x in (prediction[predicted], target[true])]
    return both, sizes[0] + sizes[1] - both


class BoundaryIoU:
    """Boundary IoU over a set of images: intersections and unions are summed first, as mean IoU does.

    A class that occurs in no target and no prediction is NaN and left out of the mean. Background counts as a class.
    """

    def __init__(self, num_classes: int, *, dilation_ratio: float = 0.02, ignore: int = 255):
        self.num_classes, self.dilation_ratio, self.ignore = num_classes, dilation_ratio, ignore
        self.intersection, self.union = np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        """Add one image; shapes and errors as `boundary_counts`."""
        intersection, union = boundary_counts(
            prediction, target, self.num_classes, dilation_ratio=self.dilation_ratio, ignore=self.ignore
        )
        self.intersection += intersection
        self.union += union

    def iou(self) -> np.ndarray:
        """Boundary IoU per class, (C,) in [0,1]."""
        return ratio(self.intersection, self.union)

    def miou(self) -> float:
        """Mean over the classes that occur."""
        return float(defined_mean(self.iou()))


def boundary_iou(
    prediction: np.ndarray, target: np.ndarray, num_classes: int, dilation_ratio: float = 0.02, ignore: int = 255
) -> np.ndarray:
    """Boundary IoU per class of one image, (C,), NaN for classes in neither mask; see `boundary_counts`."""
    return ratio(*boundary_counts(prediction, target, num_classes, dilation_ratio=dilation_ratio, ignore=ignore))


def _fill(labels: np.ndarray, ignore: int) -> np.ndarray:
    """Give ignored pixels the label of the nearest other pixel; masks of a network hold none and pass as they are."""
    missing = labels == ignore
    if not missing.any():
        return labels
    return labels[tuple(distance_transform_edt(missing, return_distances=False, return_indices=True))]
