"""Whether suppression helps when one thing of the photographs' preset is changed: `benchmarks/interventions.py`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, markdown_table

Rows = Sequence[Mapping[str, Any]]
BOTH = ("baseline", "drs")


class Change(NamedTuple):
    """One thing that differs from preset `voc_animals`, and the variants that it reaches."""

    title: str
    overrides: Mapping[str, Any]
    variants: tuple[str, ...] = BOTH


CHANGES: dict[str, Change] = {
    # The folder lists eight classes itself, so that no subset of it is taken.
    "eight": Change("eight classes, those that the photographs show, instead of twenty", {"data.subset": ""}),
    "released": Change("suppression in the release's places", {"cam.fidelity": "released"}, ("drs",)),
    "longer": Change("18 epochs instead of 9", {"cam.epochs": 18}),
    "unclipped": Change("gradients not clipped", {"cam.clip": 0.0}),
    "shorter": Change("6 epochs instead of 9", {"cam.epochs": 6}),
    "trial": Change(
        "all of the first trial: eight classes, 500 photographs, 6 epochs, not clipped",
        {"data.subset": "", "data.train_split": "train_500", "cam.epochs": 6, "cam.clip": 0.0},
    ),
    "more": Change("1,000 photographs (`train_aug`), 4 epochs", {"data.train_split": "train_aug", "cam.epochs": 4}),
}


def interventions_table(rows: Rows, chosen: Rows) -> str:
    """Return what suppression does to the seeds with each change, and without any, as Markdown.

    Args:
        rows: of the benchmark, each with its `change`.
        chosen: of the preset as it is; their random seed 0 is compared.
    """
    metrics = ("seed/mIoU", "seed/tuned_mIoU", "seed/over", "seed/under")
    head = ["change", *(f"{describe(metric).heading}" for metric in metrics)]
    lines = []
    for name, title, variants in [("", "none", BOTH), *((n, c.title, c.variants) for n, c in CHANGES.items())]:
        of_change = [row for row in rows if row["change"] == name] if name else chosen
        if name and not of_change:
            continue
        cells = []
        for metric in metrics:
            values = [_value(of_change if v in variants else chosen, metric, v) for v in BOTH]
            cells.append(" → ".join(values))
        lines.append([title, *cells])
    return markdown_table(head, lines, numbers=len(metrics))


def _value(rows: Rows, metric: str, variant: str) -> str:
    kind, labels = describe(metric), {"metric": metric, "variant": variant, "seed": 0}
    found = [row["value"] for row in rows if labels.items() <= row.items()]
    return f"{kind.shown(found[0]):.{kind.digits}f}" if found else NOT_RUN
