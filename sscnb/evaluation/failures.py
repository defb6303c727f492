"""The failure cases of Fig. 8, found by rule instead of by eye: co-occurring background, and look-alikes.

Pure functions on a prediction and the true mask; thresholds are stated in `FailureRules` and in every result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import label

from sscnb.datasets import IGNORE

BACKGROUND, LOOK_ALIKE = "background", "look-alike"
Failure = dict[str, Any]  # kind, class, taken_as, share, pixels


@dataclass(frozen=True)
class FailureRules:
    """From where on an error is called a failure; chosen before any result was looked at."""

    background: float = 0.10  # share of the image's background that hangs on to an object that is there
    look_alike: float = 0.30  # share of an object's pixels that one other class takes
    smallest: float = 0.005  # share of the image below which an object is left out of the second rule


def find_failures(
    prediction: np.ndarray,
    target: np.ndarray,
    rules: FailureRules = FailureRules(),  # noqa: B008 (frozen)
) -> list[Failure]:
    """Return the failures of one image.

    *Background*: the image shows a class, and the regions predicted as it that reach its true pixels also cover at
    least `rules.background` of the true background, as rails that are taken for the train. *Look-alike*: at least
    `rules.look_alike` of the true pixels of a class are predicted as one other class.

    Shapes: prediction, target H,W integers, 0 background; where the target is 255 nothing is counted.

    Returns:
        Dicts with `kind`, the true `class`, the class that its pixels are `taken_as` (the background case: the class
        that takes), the `share` that the rule compares and how many `pixels` that is; in the order of the classes.
    """
    failures = []
    counted = target != IGNORE
    ground, total = int((target == 0).sum()), int(counted.sum())
    for index in (int(i) for i in np.unique(target) if i not in (0, IGNORE)):
        taken = int(attached_background(prediction, target, index).sum())
        if ground and taken / ground >= rules.background:
            failures.append(_failure(BACKGROUND, 0, index, taken, ground))
        own = target == index
        size = int(own.sum())
        if size < rules.smallest * total:
            continue
        guesses = np.bincount(prediction[own], minlength=index + 1)
        guesses[[0, index]] = 0
        other = int(guesses.argmax())
        if guesses[other] and guesses[other] / size >= rules.look_alike:
            failures.append(_failure(LOOK_ALIKE, index, other, int(guesses[other]), size))
    return failures


def attached_background(prediction: np.ndarray, target: np.ndarray, index: int) -> np.ndarray:
    """Mark the true background within the predicted regions of a class that reach the class's true pixels.

    Regions are 8-connected. Shapes: prediction, target H,W integers; result H,W bool.
    """
    regions, number = label(prediction == index, structure=np.ones((3, 3)))
    reach = np.zeros(number + 1, bool)
    reach[np.unique(regions[target == index])] = True
    reach[0] = False
    return reach[regions] & (target == 0)


def tally(failures: Sequence[Mapping[str, Any]], kind: str, num_labels: int) -> np.ndarray:
    """Count the failures of a kind, L,L int64: rows the true class (0 for background), columns what it is taken as."""
    table = np.zeros((num_labels, num_labels), np.int64)
    for failure in failures:
        if failure["kind"] == kind:
            table[failure["class"], failure["taken_as"]] += 1
    return table


def _failure(kind: str, true: int, taken_as: int, pixels: int, whole: int) -> Failure:
    return {"kind": kind, "class": true, "taken_as": taken_as, "share": round(pixels / whole, 4), "pixels": pixels}
