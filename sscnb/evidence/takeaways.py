"""What was measured of each chapter's idea, as one sentence made of rows: the second half of every take-away."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from sscnb.errors import UserError, nearest
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, one_kind, value_text

Rows = Sequence[dict[str, Any]]


class Step(NamedTuple):
    """One value, or several one after the other: a metric of several variants, or several metrics of one."""

    title: str
    metrics: tuple[str, ...]
    variants: tuple[str, ...]
    between: str = " → "


def _seeds(*variants: str, also: Sequence[str] = ()) -> tuple[Step, ...]:
    """Return mIoU, over- and under-activation of these variants' seeds, and further metrics of them."""
    names = ("mIoU", "over", "under", *also)
    return tuple(Step(describe(f"seed/{name}").title, (f"seed/{name}",), variants) for name in names)


# By page: what is compared, and its values.
MEASURED: dict[str, tuple[str, tuple[Step, ...]]] = {
    "data": (
        "how many images training may read and how many are kept back",
        (Step("read", ("images/train",), ("",)), Step("kept back", ("images/val",), ("",))),
    ),
    "superpixels": (
        "how many superpixels a training image has, of 64 at most",
        (Step("mean", ("mean_regions",), ("",)),),
    ),
    "cam": (
        "seeds of the baseline at the fixed threshold, and its mean average precision on images that it has not seen",
        (*_seeds("baseline"), Step("mAP", ("classifier/mAP",), ("baseline",))),
    ),
    "try": (
        "mIoU of the full method's seeds at the fixed threshold → at the one that is best on `val` → at their own best",
        (Step("mIoU", ("seed/mIoU", "seed/tuned_mIoU", "seed/best_mIoU"), ("ssc",)),),
    ),
    "suppression": ("seeds at the fixed threshold, baseline → with suppression", _seeds("baseline", "drs")),
    "reconstruction": (
        "seeds at the fixed threshold, with suppression → with reconstruction too, and the decoder's gap",
        (*_seeds("drs", "drs+cdr"), Step("gap", ("reconstruction/gap",), ("drs+cdr",))),
    ),
    "modulation": (
        "seeds at the fixed threshold, with reconstruction → with self-modulation and selection too",
        _seeds("drs+cdr", "ssc", also=["boundary_IoU"]),
    ),
    "irn": (
        "mIoU of the seed → of the pseudo-mask",
        tuple(
            Step(title, ("pseudo/seed_mIoU", "pseudo/mIoU"), (variant,))
            for title, variant in (("baseline", "baseline"), ("full method", "ssc"))
        ),
    ),
    "segmentation": (
        "mIoU on images that were kept back",
        tuple(
            Step(title, ("segmentation/mIoU",), (variant,))
            for title, variant in (
                ("from the baseline's masks", "baseline"),
                ("from the full method's", "ssc"),
                ("from true masks, the upper bound of this schedule", "truth"),
            )
        ),
    ),
    "evaluation": (
        "95 % interval, over images, of the segmentation's mIoU",
        tuple(
            Step(title, ("segmentation/mIoU_low", "segmentation/mIoU_high"), (variant,), " to ")
            for title, variant in (("from the baseline's masks", "baseline"), ("from the full method's", "ssc"))
        ),
    ),
}
MEASURED["walk"] = MEASURED["irn"]


def measured_in_words(page: str, sets: Mapping[str, Rows]) -> str:
    """Return the sentence of a page: what was compared, and the values for each set of rows, by its title.

    Raises:
        UserError: nothing is said of this page.
    """
    if page not in MEASURED:
        raise UserError(f"no measurement belongs to the page {page!r}; {nearest(page, list(MEASURED))}")
    compared, steps = MEASURED[page]
    parts = []
    for title, rows in sets.items():
        said = [text for step in steps if (text := _said(step, rows))]
        parts.append(f"{title}, {', '.join(said) or NOT_RUN}")
    return f"**Measured**, {compared}: {'; '.join(parts)}."


def _said(step: Step, rows: Rows) -> str:
    """Return a step's values with their unit; nothing where one of them was not measured."""
    values = [_text(rows, metric, variant) for metric in step.metrics for variant in step.variants]
    unit = describe(step.metrics[0]).unit
    return "" if NOT_RUN in values else f"{step.title} {step.between.join(values)}{' ' + unit if unit else ''}"


def _text(rows: Rows, metric: str, variant: str) -> str:
    if variant:
        return value_text(one_kind(rows, metric, variant))
    found = [row["value"] for row in rows if row["metric"] == metric]
    return f"{pd.Series(found).mean():.{describe(metric).digits}f}" if found else NOT_RUN
