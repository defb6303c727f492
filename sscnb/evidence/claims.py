"""What the paper says of its parts, as data, and whether measured rows agree: paired over seeds, with their spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sscnb.evidence.report import NOT_RUN, markdown_table, own_split


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper's ablation: `metric` of variant `better` against variant `other`."""

    text: str
    metric: str
    better: str
    other: str
    lower: bool = False  # True: the metric should fall from `other` to `better`
    source: str = "Table VII"


CLAIMS: tuple[Claim, ...] = (
    Claim("DRS activates more of the object", "seed/under", "drs", "baseline", lower=True, source="Fig. 1"),
    Claim("DRS intrudes more into the background", "seed/over", "drs", "baseline", source="Fig. 1"),
    Claim("DRS improves the seed", "seed/mIoU", "drs", "baseline"),
    Claim("reconstruction takes the intrusion back", "seed/over", "drs+cdr", "drs", lower=True, source="Section III-B"),
    Claim("reconstruction improves the seed", "seed/mIoU", "drs+cdr", "drs"),
    Claim("late features beat early ones", "seed/mIoU", "drs+cdr", "drs+cdr_early"),
    Claim("the perceptual loss beats L1", "seed/mIoU", "drs+cdr", "cdr_l1", source="Table VIII"),
    Claim("the perceptual loss beats L2", "seed/mIoU", "drs+cdr", "cdr_l2", source="Table VIII"),
    Claim("modulation improves boundaries", "seed/best_boundary_IoU", "ssc", "drs+cdr", source="Fig. 5"),
    Claim("modulation improves the seed", "seed/mIoU", "ssc", "drs+cdr"),
    Claim("reliable selection improves modulation", "seed/mIoU", "ssc", "drs+cdr+asm_no_ras"),
    Claim("the full method beats the baseline", "seed/mIoU", "ssc", "baseline"),
)


def check_claims(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the claims with the measured difference, seed by seed, and a verdict.

    Columns: claim, paper (where it stands), metric, difference (mean and, over several seeds, standard deviation of the
    differences of one seed's two variants, in points), verdict: "holds" or "does not hold" where all seeds agree in
    sign, "in k of n seeds" where they do not, "not run" where no seed has both variants. One seed's verdict says so.
    """
    metrics = {claim.metric for claim in CLAIMS}
    found = [row for metric in metrics for row in own_split(rows, metric)]
    values = {(row["metric"], row["variant"], row["seed"]): row["value"] for row in found}
    return pd.DataFrame([_check(claim, values) for claim in CLAIMS])


def claims_table(sets: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Return the claims as Markdown, with difference and verdict for each set of rows, by its title."""
    checked = {title: check_claims(rows) for title, rows in sets.items()}
    lines = []
    for index, claim in enumerate(CLAIMS):
        found = [table.iloc[index] for table in checked.values()]
        cells = [NOT_RUN if f["verdict"] == NOT_RUN else f"{f['verdict']} ({f['difference']})" for f in found]
        lines.append([claim.text, claim.source, claim.metric.partition("/")[2].replace("_", " "), *cells])
    return markdown_table(["claim", "paper", "metric", *checked], lines, numbers=0)


def _check(claim: Claim, values: dict[tuple[str, str, int], float]) -> dict[str, str]:
    seeds = sorted(s for m, v, s in values if (m, v) == (claim.metric, claim.better))
    pairs = [(values[claim.metric, claim.better, s], values.get((claim.metric, claim.other, s))) for s in seeds]
    differences = np.array([100 * (a - b) for a, b in pairs if b is not None])
    record = {"claim": claim.text, "paper": claim.source, "metric": claim.metric}
    if not len(differences):
        return record | {"difference": NOT_RUN, "verdict": NOT_RUN}
    agree, number = int(((differences < 0) if claim.lower else (differences > 0)).sum()), len(differences)
    spread = f" ± {differences.std(ddof=1):.1f}" if number > 1 else ""
    verdict = {0: "does not hold", number: "holds"}.get(agree, f"in {agree} of {number} seeds")
    return record | {
        "difference": f"{differences.mean():+.1f}{spread}",
        "verdict": verdict if number > 1 else f"{verdict}, one seed",
    }
