"""What each metric is called where a reader sees it: one title and one unit each, for tables and axes alike."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from sscnb.errors import UserError, nearest
from sscnb.settings import VARIANTS


class Metric(NamedTuple):
    """A metric's title and unit."""

    title: str
    unit: str = ""  # "%": rows hold shares, in [0, 1] as a rule, and are shown times 100
    digits: int = 2  # that are shown behind the point

    @property
    def heading(self) -> str:
        """The title with its unit, as it stands over a column or beside an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def shown(self, value: float) -> float:
        """Return a row's value in the unit that is shown."""
        return 100 * value if self.unit == "%" else value


def _share(title: str) -> Metric:
    return Metric(title, "%", 1)


# Of masks, whether seeds, pseudo-masks or predictions; which of them is said by the table or its caption.
_OF_MASKS = {
    "mIoU": "mIoU",
    "over": "over-activation",
    "under": "under-activation",
    "confused": "taken for another class",
    "boundary_IoU": "boundary IoU",
}
_RULES = {
    "seed": {"": "", "tuned_": ", tuned threshold", "best_": ", best threshold"},
    "pseudo": {"": "", "best_": ", best threshold"},
    "segmentation": {"": ""},
}

METRICS: dict[str, Metric] = {
    f"{masks}/{rule}{name}": _share(title + said)
    for masks, rules in _RULES.items()
    for rule, said in rules.items()
    for name, title in _OF_MASKS.items()
}
METRICS |= {f"{masks}/IoU": _share("IoU") for masks in _RULES}
METRICS |= {f"{masks}/accuracy": _share("right pixels") for masks in ("pseudo", "segmentation")}
METRICS |= {f"{masks}/best_threshold": Metric("best threshold") for masks in ("seed", "pseudo")}
METRICS |= {
    "seed/tuned_threshold": Metric("tuned threshold"),
    "pseudo/trusted_accuracy": _share("right pixels of the trusted"),
    "pseudo/seed_mIoU": _share("mIoU of the seed"),
    "seed/image_mIoU": _share("mean of the images' own mIoU"),
    "pseudo/image_mIoU": _share("mean of the images' own mIoU"),
    "pseudo/seed_boundary_IoU": _share("boundary IoU of the seed"),
    "segmentation/mIoU_low": _share("95 % interval from"),
    "segmentation/mIoU_high": _share("95 % interval to"),
    "classifier/mAP": _share("mAP"),
    "classifier/exact_match": _share("images with every label right"),
    "classifier/label_accuracy": _share("right labels"),
    "peaks/capped": _share("score from capped channels"),
    "reconstruction/gap": _share("gap"),
    "reconstruction/own": Metric("L_p to its own image"),
    "reconstruction/other": Metric("L_p to other images"),
    "reconstruction/mirror": Metric("L_p to its mirror image"),
    "reconstruction/fixed": Metric("L_p of one fixed texture"),
    "reconstruction/blank": Metric("L_p of nothing"),
    "reconstruction/colour": Metric("L_p of the mean colour"),
    "ir/foreground": _share("labelled as a class"),
    "ir/background": _share("labelled as background"),
    "ir/uncertain": _share("left out"),
    "images": Metric("images", digits=0),
    "predicted/images": Metric("predicted images", digits=0),
    "mean_regions": Metric("superpixels of an image, mean", digits=1),
    "train_loss": Metric("total loss"),
    "train_classification": Metric("classification loss"),
    "train_reconstruction": Metric("reconstruction loss"),
    "train_alignment": Metric("alignment loss"),
    "train_positive": Metric("loss of pairs with one label"),
    "train_negative": Metric("loss of pairs with two labels"),
    "train_displacement_foreground": Metric("displacement loss, objects"),
    "train_displacement_background": Metric("displacement loss, background"),
    "train_segmentation": Metric("segmentation loss"),
    "train_supervised": Metric("loss against the pseudo-masks"),
    "train_mutual": Metric("loss against the other network"),
    "train_images": Metric("training images", digits=0),
    "train_seconds": Metric("training", "s", 0),
    "peak memory": Metric("peak memory", "GiB"),
    "resident peak": Metric("resident peak", "GiB"),
    "seconds per step": Metric("time of a step", "s"),
    "speed-up": Metric("speed-up", "times"),
    "stage seconds": Metric("time of a stage", "s"),
    "TFLOP": Metric("operations", "TFLOP"),
}
# What stands beside metrics in a table, and is none.
_BESIDE = {
    "seeds": "random seeds",
    "crop": "crop (px)",
    "clip": "gradients clipped at (0: not)",
    "cells": "cells of an object",
}


def describe(name: str) -> Metric:
    """Return title and unit of a metric; that of one class or split, such as "seed/IoU/dog", is the whole's.

    Raises:
        UserError: the metric has no title.
    """
    parts = name.split("/")
    for number in range(len(parts), 0, -1):
        known = "/".join(parts[:number])
        if known in METRICS:
            return METRICS[known]
    raise UserError(f"the metric {name!r} has no title in {__name__}; {nearest(name, list(METRICS))}")


def values_table(parts: Mapping[str, Iterable[Mapping[str, Any]]]) -> pd.DataFrame:
    """Tabulate result rows by the title of their part: a line a part, a column a metric, with title, unit and digits.

    Raises:
        UserError: as `describe`.
    """
    lines = {}
    for title, rows in parts.items():
        kinds = [(describe(row["metric"]), row["value"]) for row in rows]
        lines[title] = {kind.heading: f"{kind.shown(value):.{kind.digits}f}" for kind, value in kinds}
    return pd.DataFrame.from_dict(lines, orient="index")


def titled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as a reader sees it: metrics by their headings, variants by their titles."""
    heads = {name: METRICS[name].heading for name in table.columns if name in METRICS}
    return table.rename(columns=_BESIDE | heads, index=_variant)


def _variant(name: str) -> str:
    base, _, change = str(name).partition("@")
    title = VARIANTS[base].title if base in VARIANTS else "true masks (upper bound)" if base == "truth" else base
    return f"{title}, {change}" if change else title
