"""On which images a step of the ladder helps: by how much of the image its objects cover."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sscnb.datasets import IGNORE
from sscnb.evidence.metrics import describe

Rows = Sequence[Mapping[str, Any]]


def object_share(mask: np.ndarray) -> float:
    """Return the share of a true mask's labelled pixels that show an object; 0 where none is labelled."""
    labelled = mask[mask != IGNORE]
    return float((labelled > 0).mean()) if labelled.size else 0.0


def groups_by_share(shares: Mapping[str, float], number: int = 4) -> list[list[str]]:
    """Return the images in groups of equal number, or nearly, from the smallest share to the largest."""
    order = sorted(shares, key=lambda image_id: (shares[image_id], image_id))
    return [list(group) for group in np.array_split(order, number)]


def size_table(rows: Rows, before: str, after: str) -> pd.DataFrame:
    """Return what a step changes in each group of images.

    Args:
        rows: of `benchmarks/object_size.py`, of one preset and change.
        before, after: the step's variants.

    Returns:
        A row a random seed that both have and group: `seed`, `share` (the group's median, in percent) and `change` of
        the mean of the images' own mIoU, in points.
    """
    values = {(row["variant"], row["seed"], row["group"]): row for row in rows}
    lines = []
    for (variant, seed, group), row in values.items():
        earlier = values.get((before, seed, group))
        if variant == after and earlier is not None:
            change = describe("seed/image_mIoU").shown(row["value"] - earlier["value"])
            lines.append({"seed": seed, "share": 100 * row["share"], "change": change})
    return pd.DataFrame(lines, columns=["seed", "share", "change"]).sort_values(["seed", "share"], ignore_index=True)
