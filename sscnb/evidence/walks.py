"""What edges and walk make of a better seed: whose CAMs walk within whose edges, and for how many steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from sscnb.evidence.interventions import STEPS
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import markdown_table

Rows = Sequence[Mapping[str, Any]]
_ENDS = (STEPS[0], STEPS[-1])
_METRICS = ("pseudo/mIoU", "pseudo/best_mIoU", "pseudo/over", "pseudo/under")
_EDGES = {"own": "each its own", _ENDS[0]: "the baseline's", _ENDS[1]: "the full method's"}
_CRF = {"dense": "with", "none": "without"}


def walks_table(rows: Rows) -> str:
    """Return the pseudo-masks of the baseline's CAMs and of the full method's, by edges and number of steps.

    Args:
        rows: of `benchmarks/walks.py`, of one preset.

    Returns:
        Markdown; in each cell the baseline's CAMs → the full method's, means over the random seeds that are there.
    """
    lines = []
    for crf, shown in _CRF.items():
        of_crf = [row for row in rows if row["crf"] == crf]
        for edges in _EDGES:
            for steps in sorted({row["steps"] for row in of_crf}):
                found = [row for row in of_crf if row["steps"] == steps]
                pairs = [_levels(found, metric, edges) for metric in _METRICS]
                if all(pairs):
                    seeds = len({row["seed"] for row in found})
                    lines.append([shown, _EDGES[edges], str(steps), str(seeds), *pairs])
    head = ["CRF", "edges", "steps", "random seeds", *(describe(metric).heading for metric in _METRICS)]
    return markdown_table(head, lines, numbers=len(_METRICS) + 2)


def _levels(rows: Rows, metric: str, edges: str) -> str:
    """Return a metric of both maps in these edges; empty where one of them is missing."""
    kind, means = describe(metric), []
    for variant in _ENDS:
        wanted = {"metric": metric, "variant": variant, "edges": variant if edges == "own" else edges}
        values = [row["value"] for row in rows if wanted.items() <= row.items()]
        if values:
            means.append(f"{kind.shown(sum(values) / len(values)):.{kind.digits}f}")
    return " → ".join(means) if len(means) == len(_ENDS) else ""
