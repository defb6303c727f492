"""Numbers that figures show, from counts and result rows, in percent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sscnb.datasets import IGNORE


def percent(values: Iterable[float | None]) -> list[float]:
    """Return shares in percent, NaN for None."""
    return [np.nan if value is None else 100 * value for value in values]


def class_percent(rows: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """Return a metric's values class by class in percent, in the order of the rows; NaN where it does not apply.

    Args:
        rows: of one stage.
        metric: such as "seed/IoU", whose rows are "seed/IoU/background" and so on.
    """
    return percent(row["value"] for row in rows if row["metric"].startswith(f"{metric}/"))


def row_percent(counts: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Return counts C,C as percent of their row's sum; a row without any stays 0."""
    counts = np.array(counts, dtype=float)
    return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def co_occurrence(labels: np.ndarray) -> np.ndarray:
    """Return C,C: of the images that show the class of the row, how many percent show that of the column.

    Args:
        labels: N,C image-level labels in {0, 1}; a class that no image shows has a row of 0.
    """
    return 100 * (labels.T @ labels / np.maximum(labels.sum(axis=0), 1)[:, None])


def covered(mask: np.ndarray, classes: int) -> np.ndarray:
    """Return how many percent of a mask's labelled pixels each class covers, C; NaN where it is absent.

    Args:
        mask: H,W uint8: 0 background, 1..C, 255 ignored.
        classes: C.
    """
    pixels = np.bincount(mask.ravel(), minlength=256)[1 : classes + 1]
    return np.where(pixels, 100 * (pixels / max((mask != IGNORE).sum(), 1)), np.nan)
