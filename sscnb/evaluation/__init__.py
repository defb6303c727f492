"""What masks, seeds and classifiers are measured by."""

from sscnb.evaluation.bootstrap import bootstrap_interval
from sscnb.evaluation.boundary import BoundaryIoU
from sscnb.evaluation.classification import image_accuracy, mean_average_precision
from sscnb.evaluation.failures import BACKGROUND, LOOK_ALIKE, FailureRules, find_failures, tally
from sscnb.evaluation.masks import ConfusionMatrix, class_iou, confusion, defined_mean, foreground_errors
from sscnb.evaluation.superpixels import boundaries, boundary_recall, undersegmentation_error
from sscnb.evaluation.thresholds import ThresholdCurve, seed_from_activation

__all__ = [
    "BACKGROUND",
    "BoundaryIoU",
    "ConfusionMatrix",
    "FailureRules",
    "LOOK_ALIKE",
    "ThresholdCurve",
    "bootstrap_interval",
    "boundaries",
    "boundary_recall",
    "class_iou",
    "confusion",
    "defined_mean",
    "find_failures",
    "foreground_errors",
    "image_accuracy",
    "mean_average_precision",
    "seed_from_activation",
    "tally",
    "undersegmentation_error",
]
