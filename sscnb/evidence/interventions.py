"""Whether a step of the ladder helps when one thing is changed, and where suppression acts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, markdown_table
from sscnb.settings import LADDER

Rows = Sequence[Mapping[str, Any]]
BOTH = ("baseline", "drs")
JOINT = ("drs+cdr", "ssc")
STEPS = (*BOTH, *JOINT)
METRICS = ("seed/mIoU", "seed/tuned_mIoU", "seed/over", "seed/under")


class Change(NamedTuple):
    """What differs from preset `voc_animals`, and the variants that are trained with it.

    Most were measured with 398 photographs, before the preset had 1,000. Those that such a change cannot reach are
    those of `fewer`, such as the baseline where suppression's place is changed.
    """

    title: str
    overrides: Mapping[str, Any]
    variants: tuple[str, ...] = BOTH


_FEWER = {"data.train_split": "train"}


def _with_fewer(title: str, overrides: Mapping[str, Any], variants: tuple[str, ...] = BOTH) -> Change:
    return Change(f"398 photographs, {title}", {**_FEWER, **overrides}, variants)


_LONGER = {"cam.epochs": 18, "reconstruction.warmup_epochs": 12, "modulation.warmup_epochs": 14}
# Everything 1.4 times as large: half an hour a network on one recent core. The paper's own 512 pixels are for a GPU.
_FINER = {"cam.crop": 448, "cam.resize": (280, 560), "modulation.erosion": 7, "inference.long_side": 560, **_LONGER}
_SOONER = {"reconstruction.warmup_epochs": 3, "modulation.warmup_epochs": 4}
_CAPPED = {"cam.backbone": "efficientnet_lite0"}
CHANGES: dict[str, Change] = {
    "fewer": Change("398 photographs (`train`)", _FEWER, (*LADDER, "cdr_l1", "cdr_l2")),
    "capped": _with_fewer("peaks capped by the backbone's own ReLU6", _CAPPED, LADDER),
    # The folder lists eight classes itself, so that no subset of it is taken.
    "eight": _with_fewer("peaks capped, and their eight classes alone", {**_CAPPED, "data.subset": ""}),
    "released": _with_fewer("suppression in the release's places", {"cam.fidelity": "released"}, ("drs",)),
    "milder": _with_fewer("suppression at .8 of the peak, not .55", {"cam.delta": 0.8}, ("drs",)),
    "shorter": _with_fewer("6 epochs instead of 9", {"cam.epochs": 6}),
    "longer": _with_fewer("18 epochs instead of 9, warm-ups as long in proportion", _LONGER, STEPS),
    "longest": _with_fewer("36 epochs instead of 9", {"cam.epochs": 36}),
    "joint": _with_fewer("18 epochs instead of 9, all of the further ones with every loss", {"cam.epochs": 18}, JOINT),
    "finer": _with_fewer("28x28 cells a crop instead of 20x20, and 18 epochs", _FINER, STEPS),
    "unclipped": _with_fewer("gradients not clipped", {"cam.clip": 0.0}),
    "sooner": _with_fewer(
        "reconstruction from the 4th epoch, alignment from the 5th; not the 7th and 8th of 9", _SOONER, JOINT
    ),
    "msrc21": Change("other photographs: 269 of MSRC-21, of 14 classes", {**_FEWER, "data.subset": ""}, STEPS),
    "target": _with_fewer("T_obj of .8 instead of .3", {"modulation.threshold": 0.8}, ("ssc",)),
}


def interventions_table(rows: Rows, chosen: Rows, before: str, after: str) -> str:
    """Return what a step of the ladder does to the seeds with each change, and without any, as Markdown.

    Args:
        rows: of `benchmarks/interventions.py`, each with its `change`.
        chosen: of the preset as it is, with 1,000 photographs.
        before, after: the step's variants, such as "baseline" and "drs". Values are means over the random seeds that
            both were trained with.
    """
    head = ["change", "random seeds", *(describe(metric).heading for metric in METRICS)]
    lines = [["none: 1,000 photographs", *_step(chosen, chosen, before, after)]]
    fewer = [row for row in rows if row["change"] == "fewer"]
    for name, change in CHANGES.items():
        of_change = [row for row in rows if row["change"] == name]
        if any(row["variant"] == after for row in of_change):
            own = of_change if before in change.variants else fewer
            lines.append([change.title, *_step(own, of_change, before, after)])
    return markdown_table(head, lines, numbers=len(METRICS) + 1)


def suppression_table(rows: Rows, preset: str) -> str:
    """Return what suppression does in training and what it does to the maps of a trained network, as Markdown.

    Args:
        rows: of `benchmarks/suppression.py`.
    """
    lines = []
    for variant, trained in (("baseline", "without"), ("drs", "with")):
        for suppressed in (False, True):
            labels = {"preset": preset, "variant": variant, "suppressed": suppressed}
            found = [row for row in rows if labels.items() <= row.items()]
            values = [_mean(found, metric, variant, {0}) for metric in METRICS]
            lines.append([trained, "with" if suppressed else "without", *values])
    return markdown_table(
        ["trained", "shown", *(describe(metric).heading for metric in METRICS)], lines, numbers=len(METRICS)
    )


def _step(of_before: Rows, of_after: Rows, before: str, after: str) -> list[str]:
    """Return how many random seeds are compared, and a step's values with them."""
    of_step = _seeds(of_after, after)
    seeds = of_step & _seeds(of_before, before) or of_step
    cells = (f"{_mean(of_before, m, before, seeds)} → {_mean(of_after, m, after, seeds)}" for m in METRICS)
    return [str(len(seeds)), *cells]


def _seeds(rows: Rows, variant: str) -> set[int]:
    return {row["seed"] for row in rows if row.get("variant") == variant}


def _mean(rows: Rows, metric: str, variant: str, seeds: Collection[int]) -> str:
    kind, labels = describe(metric), {"metric": metric, "variant": variant}
    found = [row["value"] for row in rows if labels.items() <= row.items() and row["seed"] in seeds]
    return f"{kind.shown(sum(found) / len(found)):.{kind.digits}f}" if found else NOT_RUN
