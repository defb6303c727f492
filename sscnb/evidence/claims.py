"""What the paper says of its parts, as data, and whether measured rows agree, paired over random seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, by_rule, markdown_table, own_split


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper's ablation: `metric` of seeds, of variant `better` against variant `other`."""

    text: str
    metric: str
    better: str
    other: str
    lower: bool = False  # True: the metric should fall from `other` to `better`
    source: str = "Table VII"


CLAIMS: tuple[Claim, ...] = (
    Claim("DRS activates more of the object", "under", "drs", "baseline", lower=True, source="Fig. 1"),
    Claim("DRS intrudes more into the background", "over", "drs", "baseline", source="Fig. 1"),
    Claim("DRS improves the seed", "mIoU", "drs", "baseline"),
    Claim("reconstruction takes the intrusion back", "over", "drs+cdr", "drs", lower=True, source="Section III-B"),
    Claim("reconstruction improves the seed", "mIoU", "drs+cdr", "drs"),
    Claim("late features beat early ones", "mIoU", "drs+cdr", "drs+cdr_early"),
    Claim("the perceptual loss beats L1", "mIoU", "drs+cdr", "cdr_l1", source="Table VIII"),
    Claim("the perceptual loss beats L2", "mIoU", "drs+cdr", "cdr_l2", source="Table VIII"),
    Claim("modulation improves the seed", "mIoU", "drs+cdr+asm_no_ras", "drs+cdr"),
    Claim("reliable selection improves modulation", "mIoU", "ssc", "drs+cdr+asm_no_ras"),
    Claim("modulation with selection improves boundaries", "boundary_IoU", "ssc", "drs+cdr", source="Fig. 5"),
    Claim("the full method beats the baseline", "mIoU", "ssc", "baseline"),
)
_NOTHING = 0.5  # points: a smaller mean is no change


def check_claims(rows: Sequence[dict[str, Any]], rule: str = "") -> pd.DataFrame:
    """Return the claims with the measured difference, run by run, and a verdict.

    Args:
        rule: which threshold the seeds are cut at: "" the fixed one, "tuned_" the one that is best on `val`.

    Columns: claim, paper (where it stands), metric, difference (mean and, over several random seeds, standard deviation
    of the differences of one seed's two variants, in points), verdict: "k of n" runs in which the claim holds, "no
    change" where the mean is less than half a point, "not run" where no run has both variants.
    """
    metrics = {f"seed/{rule}{claim.metric}" for claim in CLAIMS}
    found = [row for metric in metrics for row in own_split(rows, metric)]
    values = {(row["metric"], row["variant"], row["seed"]): row["value"] for row in found}
    return pd.DataFrame([_check(claim, f"seed/{rule}{claim.metric}", values) for claim in CLAIMS])


def claims_table(sets: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Return the claims as Markdown, with verdict and difference for each set of rows and each rule it was cut by."""
    checked = {title: check_claims(rows, rule) for title, (rule, rows) in by_rule(sets).items()}
    lines = []
    for index, claim in enumerate(CLAIMS):
        found = [table.iloc[index] for table in checked.values()]
        cells = [NOT_RUN if f["verdict"] == NOT_RUN else f"{f['verdict']} ({f['difference']})" for f in found]
        lines.append([claim.text, claim.source, describe(f"seed/{claim.metric}").title, *cells])
    return markdown_table(["claim", "paper", "metric", *checked], lines, numbers=0)


def _check(claim: Claim, metric: str, values: dict[tuple[str, str, int], float]) -> dict[str, str]:
    seeds = sorted(s for m, v, s in values if (m, v) == (metric, claim.better))
    pairs = [(values[metric, claim.better, s], values.get((metric, claim.other, s))) for s in seeds]
    differences = np.array([100 * (a - b) for a, b in pairs if b is not None])
    record = {"claim": claim.text, "paper": claim.source, "metric": claim.metric}
    if not len(differences):
        return record | {"difference": NOT_RUN, "verdict": NOT_RUN}
    agree, number = int(((differences < 0) if claim.lower else (differences > 0)).sum()), len(differences)
    spread = f" ± {differences.std(ddof=1):.1f}" if number > 1 else ""
    mean = differences.mean()
    return record | {
        "difference": f"{round(mean, 1) + 0.0:+.1f}{spread}",  # + 0.0: no negative zero
        "verdict": "no change" if abs(mean) < _NOTHING else f"{agree} of {number}",
    }
