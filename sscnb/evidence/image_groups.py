"""On which images a step of the ladder helps: by how much of them objects cover, and by how many classes they show."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from sscnb.datasets import IGNORE, Dataset
from sscnb.evidence.interventions import STEPS
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, markdown_table

Rows = Sequence[Mapping[str, Any]]
# The data sets of the kept rows, by preset and change.
_SETS = {
    "1,000 photographs": ("voc_animals", ""),
    "398 photographs": ("voc_animals", "fewer"),
    "398, twice the epochs": ("voc_animals", "longer"),
    "398, twice the epochs, finer cells": ("voc_animals", "finer"),
    "generated scenes": ("small", ""),
}
# Beside the steps, a baseline whose seeds are cut lower: it covers more of everything without any of the method.
LOWER = "baseline@inference.threshold=0.16"
_TITLES = ("suppression", "reconstruction", "self-modulation", "all three", "threshold of .16")
_PAIRS = dict(zip(_TITLES, [*pairwise(STEPS), (STEPS[0], STEPS[-1]), (STEPS[0], LOWER)], strict=True))
_CLASSES = ("one class", "several classes")
# What masks are grouped: the metric, and the CRF of the relation labels.
_MASKS = {
    "seeds": ("seed/image_mIoU", None),
    "pseudo-masks, with CRF": ("pseudo/image_mIoU", "dense"),
    "pseudo-masks, without": ("pseudo/image_mIoU", "none"),
}


def object_share(mask: np.ndarray) -> float:
    """Return the share of a true mask's labelled pixels that show an object; 0 where none is labelled."""
    labelled = mask[mask != IGNORE]
    return float((labelled > 0).mean()) if labelled.size else 0.0


def groups_by_share(shares: Mapping[str, float], number: int = 4) -> list[list[str]]:
    """Return the images in groups of equal number, or nearly, from the smallest share to the largest."""
    order = sorted(shares, key=lambda image_id: (shares[image_id], image_id))
    return [list(group) for group in np.array_split(order, number)]


def groups_by_classes(dataset: Dataset, ids: Sequence[str]) -> list[list[str]]:
    """Return the images whose labels name one class at most, and those whose labels name several."""
    several = {image_id: int(dataset.labels(image_id).sum()) > 1 for image_id in ids}
    return [[image_id for image_id in ids if several[image_id] is wanted] for wanted in (False, True)]


def size_panels(rows: Rows) -> dict[str, dict[str, pd.DataFrame]]:
    """Return what each step of the ladder changes by the size of objects, and all of them, by step and data set.

    The last panel is a baseline whose seeds are cut at a lower threshold, as far as it was measured.

    Args:
        rows: of `benchmarks/image_groups.py`.

    Returns:
        Tables with a row a random seed and group: `seed`, `share` (the group's median, in percent) and `change` of the
        mean of the images' own mIoU, in points.
    """
    panels: dict[str, dict[str, pd.DataFrame]] = {}
    for title, pair in _PAIRS.items():
        for name, of_set in _by_set(rows, "share").items():
            table = _changes(of_set, *pair)
            if len(table):
                panels.setdefault(title, {})[name] = table
    return panels


def classes_table(rows: Rows) -> str:
    """Return what each step changes on images of one class and of several, as Markdown: mean ± sd over random seeds.

    Args:
        rows: of `benchmarks/image_groups.py`.
    """
    lines = []
    for name, of_set in _by_set(rows, "classes").items():
        tables = [_changes(of_set, *pair) for pair in _PAIRS.values()]
        for group, shown in enumerate(_CLASSES):
            images = next((row["images"] for row in of_set if row["group"] == group), 0)
            cells = [_mean_change(table[table["group"] == group]["change"]) for table in tables]
            if images:
                lines.append([name, f"{shown} ({images})", *cells])
    return markdown_table(["data", "images", *_PAIRS], lines, numbers=len(_PAIRS))


def refined_table(rows: Rows) -> str:
    """Return what the full method changes of seeds and of pseudo-masks, on images of one class and of several.

    Args:
        rows: of `benchmarks/image_groups.py`.

    Returns:
        Markdown; in each cell the mean of the images' own mIoU, from the baseline to the full method, over the random
        seeds that have pseudo-masks; sets of data without any are left out.
    """
    lines = []
    for name in _SETS:
        by_masks = [_by_set(rows, "classes", masks).get(name, []) for masks in _MASKS]
        seeds = {row["seed"] for of_masks in by_masks[1:] for row in of_masks}
        by_masks[0] = [row for row in by_masks[0] if row["seed"] in seeds]
        for group, shown in enumerate(_CLASSES if any(by_masks[1:]) else ()):
            images = next((row["images"] for row in by_masks[0] if row["group"] == group), 0)
            cells = [_levels([row for row in of_masks if row["group"] == group]) for of_masks in by_masks]
            lines.append([name, f"{shown} ({images})", *cells])
    return markdown_table(["data", "images", *_MASKS], lines, numbers=len(_MASKS))


def _levels(rows: Rows) -> str:
    values = {(row["variant"], row["seed"]): row["value"] for row in rows}
    seeds = [seed for variant, seed in values if variant == STEPS[0] and (STEPS[-1], seed) in values]
    means = [sum(values[variant, seed] for seed in seeds) / len(seeds) for variant in (STEPS[0], STEPS[-1]) if seeds]
    return " → ".join(f"{describe('seed/image_mIoU').shown(mean):.1f}" for mean in means) or NOT_RUN


def _by_set(rows: Rows, by: str, masks: str = "seeds") -> dict[str, Rows]:
    rows = [row for row in rows if (row["metric"], row.get("crf")) == _MASKS[masks]]
    found = {n: [r for r in rows if (r["preset"], r["change"], r["by"]) == (*s, by)] for n, s in _SETS.items()}
    return {name: of_set for name, of_set in found.items() if of_set}


def _changes(rows: Rows, before: str, after: str) -> pd.DataFrame:
    """Return what a step changes in each group, a row a random seed that both variants have."""
    values = {(row["variant"], row["seed"], row["group"]): row for row in rows}
    lines = []
    for (variant, seed, group), row in values.items():
        earlier = values.get((before, seed, group))
        if variant == after and earlier is not None:
            change = describe("seed/image_mIoU").shown(row["value"] - earlier["value"])
            lines.append((seed, group, 100 * row["share"], change))
    table = pd.DataFrame(lines, columns=["seed", "group", "share", "change"])
    return table.sort_values(["seed", "group"], ignore_index=True)


def _mean_change(values: pd.Series) -> str:
    if values.empty:
        return NOT_RUN
    mean = round(values.mean(), 1) + 0.0  # without the sign of a zero
    return f"{mean:+.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else "")
