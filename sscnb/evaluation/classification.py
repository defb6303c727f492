"""How well image-level classes are predicted: average precision and accuracy. Undefined values are NaN."""

import numpy as np

from sscnb.errors import UserError
from sscnb.evaluation.masks import defined_mean


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the precision-recall steps per class, equal scores counting as one step (scikit-learn's definition).

    Shapes: scores (N,C), any monotone function of the probabilities; labels (N,C) in {0,1}; result (C,) in [0,1], NaN
    for a class without positives. Raises: UserError for unequal shapes, a NaN score or a label that is not 0 or 1.
    """
    scores, labels = _scores_and_labels(scores, labels)
    result = np.full(scores.shape[1], np.nan)
    for c in np.flatnonzero(labels.any(0)):
        order = np.argsort(-scores[:, c], kind="stable")
        ranked = scores[order, c]
        last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)  # where a run of equal scores ends
        hits = labels[order, c].cumsum()[last]
        result[c] = (np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1]
    return result


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of `average_precision` over the classes that have positives."""
    return float(defined_mean(average_precision(scores, labels)))


def image_accuracy(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy of image-level labels, a class being predicted where its logit exceeds 0 (probability .5).

    Shapes: logits (N,C), labels (N,C) in {0,1}. `exact_match` is the share of images with all labels right,
    `label_accuracy` that of right labels. Raises: UserError as `average_precision`.
    """
    logits, labels = _scores_and_labels(logits, labels)
    right = (logits > 0) == labels
    return {"exact_match": float(right.all(1).mean()), "label_accuracy": float(right.mean())}


def _scores_and_labels(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape or not scores.size:
        raise UserError(f"scores and labels must both be (images, classes); got {scores.shape} and {labels.shape}.")
    if np.isnan(scores).any() or not np.isin(labels, (0, 1)).all():
        raise UserError("scores must not hold NaN and labels must be 0 or 1.")
    return scores, labels.astype(bool)
