"""What a changed setting does, as Markdown: the sweeps of Fig. 7, and the effects of other changes.

Rows are compared with rows of the same seeds. `sets` are result rows by the title of where they come from; one without
a sweep has no column among the sweeps.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sscnb.evidence import paper
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import by_rule, markdown_table, own_split, value_text
from sscnb.settings import SWEEPS, VARIANTS, load_config, sweep

Rows = Sequence[dict[str, Any]]
Sets = Mapping[str, Rows]


def sweep_table(sets: Sets) -> str:
    """Return the values of Fig. 7, what the paper says of each, and measured seed mIoU, as Markdown."""
    printed = paper.load_sweep().set_index(["parameter", "value"])
    swept = {title: rows for title, rows in sets.items() if _has_a_sweep(rows)}
    columns_of = by_rule(swept or sets)
    head = ["parameter", "value", "paper", *columns_of]
    lines = []
    for parameter, values in SWEEPS.items():
        columns = [_sweep(parameter, rows, f"seed/{rule}mIoU") for rule, rows in columns_of.values()]
        for value in values:
            verdict = (
                "chosen" if printed.chosen[parameter, value] else "good" if printed.good[parameter, value] else "lower"
            )
            lines.append([parameter, f"{value:g}", verdict, *(column[value] for column in columns)])
    return markdown_table(head, lines, numbers=len(columns_of))


def alignment_table(rows: Rows) -> str:
    """Return what the alignment does to the seeds by its weight and selection (Eq. 7 to 9), as Markdown.

    Args:
        rows: of one data set. Values are means over the random seeds that have all of what was measured.
    """
    metrics = ("seed/mIoU", "seed/tuned_mIoU", "seed/over", "seed/under", "seed/boundary_IoU")
    measured = {row["variant"] for row in rows if row["metric"] == "seed/mIoU"}
    names = {name: labels for name, labels in _alignments().items() if name in measured}
    seeds = _shared_seeds(rows, names)
    lines = [[*labels, *(_of_seeds(rows, m, name, seeds) for m in metrics)] for name, labels in names.items()]
    head = ["weight", "selection", *(describe(metric).heading for metric in metrics)]
    return markdown_table(head, lines, numbers=len(metrics)) if lines else "None yet."


def _alignments() -> dict[str, tuple[str, str]]:
    """Return variants by name, with the alignment's weight and selection of each: the paper's, and others."""
    found = {"drs+cdr": ("0", "")}
    for weight, heavier in (("1", ""), ("5", "modulation.beta=5")):
        for selection, base, stricter in (
            ("none", "drs+cdr+asm_no_ras", ""),
            ("T_obj .3", "ssc", ""),
            ("T_obj .8", "ssc", "modulation.threshold=0.8"),
        ):
            changes = ",".join(filter(None, (heavier, stricter)))
            found[f"{base}@{changes}" if changes else base] = (weight, selection)
    return found


def effects_table(sets: Sets) -> str:
    """Return variants with changed settings beside the same without the change, of the same seeds, as Markdown."""
    metrics = ("seed/mIoU", "seed/tuned_mIoU", "seed/over")
    lines = []
    for title, rows in sets.items():
        swept = {name for p in SWEEPS for name in _names(p, rows).values()}
        changed = dict.fromkeys(r["variant"] for r in rows if r["metric"] == "seed/mIoU" and "@" in r["variant"])
        for name in [name for name in changed if name not in swept]:
            base, _, change = name.partition("@")
            seeds = _shared_seeds(rows, (base, name))
            values = [_of_seeds(rows, metric, variant, seeds) for metric in metrics for variant in (base, name)]
            lines.append([title, VARIANTS[base].title, f"`{change}`", *values])
    pairs = [head for metric in metrics for head in (f"{describe(metric).heading} without", "with")]
    return markdown_table(["data", "variant", "change", *pairs], lines, numbers=len(pairs)) if lines else "None yet."


def _has_a_sweep(rows: Rows) -> bool:
    names = {name for parameter in SWEEPS for name in _names(parameter, rows).values()} - {"ssc"}
    return any(row["metric"] == "seed/mIoU" and row["variant"] in names for row in rows)


def _names(parameter: str, rows: Rows) -> dict[float, str]:
    return sweep(parameter, load_config(rows[0]["preset"])) if rows else dict.fromkeys(SWEEPS[parameter], "")


def _sweep(parameter: str, rows: Rows, metric: str) -> dict[float, str]:
    """Return a metric of each of a parameter's values, over the seeds that all of the measured ones have."""
    names = _names(parameter, rows)
    seeds = _shared_seeds(rows, names.values())
    return {value: _of_seeds(rows, metric, name, seeds) for value, name in names.items()}


def _shared_seeds(rows: Rows, variants: Iterable[str]) -> set[int]:
    """Return the seeds that all of these variants have been measured with, as far as they have been at all."""
    seeds = [{r["seed"] for r in own_split(rows, "seed/mIoU", variant=name)} for name in variants]
    return set.intersection(*filter(None, seeds)) if any(seeds) else set()


def _of_seeds(rows: Rows, metric: str, variant: str, seeds: set[int]) -> str:
    return value_text([r for r in own_split(rows, metric, variant=variant) if r["seed"] in seeds])
