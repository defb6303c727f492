"""A chapter's own table: the paper's values beside those of one run, as a data frame for a notebook to show.

The whole tables, as pages of the book, are in `sscnb.evidence.tables`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sscnb.evaluation import BACKGROUND, LOOK_ALIKE, tally
from sscnb.evidence import paper
from sscnb.evidence.metrics import describe, titled
from sscnb.evidence.report import NOT_RUN, own_split
from sscnb.evidence.tables import LOSSES
from sscnb.settings import LADDER, SWEEPS, VARIANTS, Config, load_config, sweep

Rows = Sequence[dict[str, Any]]
SEGMENTATIONS = {3: "VOC, VGG-16", 4: "VOC, ResNet-101", 5: "COCO, VGG-16", 6: "COCO, ResNet-101"}  # Tables III to VI


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Put a run's seeds beside Table VIII, and beside the row of Table VII that rebuilds from early features.

    Args:
        table: of `mean_and_deviation`.
    """
    printed = dict(zip(LOSSES, paper.load(8)["miou"], strict=True))
    early = dict(zip(LADDER, paper.load(7)["miou"], strict=True))["drs+cdr_early"]
    frame = pd.DataFrame({"paper (VOC train)": printed | {"drs+cdr_early": early}}).join(table.astype(str))
    return titled(frame.fillna(NOT_RUN))


def gaps(rows: Rows) -> pd.DataFrame:
    """Tabulate how far rebuilt images are from their own image and from what they should not be like, in L_p.

    Means over seeds in the units of `METRICS`; one row a variant with a decoder. See `reconstruction_gap` for the
    columns.
    """
    names = [f"reconstruction/{name}" for name in ("gap", "own", "other", "mirror", "fixed", "blank", "colour")]
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["metric"] in names:
            found.setdefault(row["variant"], {}).setdefault(row["metric"], []).append(row["value"])
    table = {
        variant: {name: describe(name).shown(float(np.mean(values[name]))) for name in names}
        for variant, values in found.items()
        if variant in VARIANTS
    }
    return pd.DataFrame.from_dict(table, orient="index", columns=names)


def sweeps(config: Config, rows: Rows, kept: Rows, seed: int) -> pd.DataFrame:
    """Tabulate the values of Fig. 7 with what the paper says of them and the seed mIoU in percent, None if not run.

    Args:
        rows: of this run, on one split.
        kept: those that are kept with the book, of any preset: r is scaled to that one's crop.
        seed: whose values are shown, of both.
    """
    measured, known = _of_seed(rows, seed), _of_seed(kept, seed)
    theirs = load_config(kept[0]["preset"]) if kept else config
    good = paper.load_sweep().set_index(["parameter", "value"])["good"]
    return pd.DataFrame(
        {
            "variant": name,
            "parameter": parameter,
            "value": value,
            "paper": "good" if good.get((parameter, value)) else "lower",
            "this run": measured.get(name),
            "kept": known.get(sweep(parameter, theirs)[value]),
        }
        for parameter in SWEEPS
        for value, name in sweep(parameter, config).items()
    )


def _of_seed(rows: Rows, seed: int) -> dict[str, float]:
    return {r["variant"]: 100 * r["value"] for r in own_split(rows, "seed/mIoU") if r["seed"] == seed}


def refinement(table: pd.DataFrame, variants: Sequence[str], title: str) -> pd.DataFrame:
    """Put a run's seeds and pseudo-masks below those of Table II.

    Args:
        table: of `mean_and_deviation`, with seed/mIoU and pseudo/mIoU.
        variants: whose rows are shown, as far as the table has them.
        title: of the run.
    """
    lines = [
        [f"paper, VOC train: {row['method']}", f"{row['seed']:.1f}", f"{row['with_irn']:.1f}"]
        for row in paper.load(2).to_dict("records")
    ]
    for variant in (v for v in variants if v in table.index):
        values = table.loc[variant, ["seed/mIoU", "pseudo/mIoU"]]
        lines.append([f"{title}: {VARIANTS[variant].title}", *values])
    heading = describe("seed/mIoU").heading
    return pd.DataFrame(lines, columns=["method", f"seed: {heading}", f"with IRN: {heading}"])


def segmentation(table: pd.DataFrame, titles: Mapping[str, str], title: str) -> pd.DataFrame:
    """Put a run's segmentations below Tables III to VI: the paper's own rows, and the best others from labels alone.

    Args:
        table: of `mean_and_deviation`, with segmentation/mIoU.
        titles: of what the networks learned from, by source.
        title: of the run.
    """
    lines = []
    for number, data in SEGMENTATIONS.items():
        printed = paper.load(number)
        others = printed[~printed["ours"] & (printed["sup"] == "I")].nlargest(1, "val")
        for row in pd.concat([others, printed[printed["ours"]]]).to_dict("records"):
            lines.append([f"{row['method']} (paper, {data})", f"{row['val']:.1f}"])
    for source, learned_from in titles.items():
        value = table.loc[source, "segmentation/mIoU"] if source in table.index else "not measured"
        lines.append([f"{learned_from} ({title})", value])
    return pd.DataFrame(lines, columns=["learned from", f"on val: {describe('segmentation/mIoU').heading}"])


def failure_labels(cases: Rows, classes: Sequence[str]) -> list[str]:
    """Return what stands beside the picture of each failure case: a class, what it is taken for, and its share."""
    return [f"{classes[c['class']]}\nas {classes[c['taken_as']]}\n{100 * c['share']:.0f} %" for c in cases]


def failures(cases: Mapping[str, Rows], classes: Sequence[str], most: int = 3) -> pd.DataFrame:
    """Count the failure cases of each kind and name the most frequent pairs of classes.

    Args:
        cases: the `failures` of `evaluate_segmentation`, by the title of what the network learned from.
        classes: their names, background first.
        most: how many pairs to name.
    """
    lines = []
    for title, found in cases.items():
        for kind in (BACKGROUND, LOOK_ALIKE):
            counted = tally(found, kind, len(classes))
            pairs = sorted(zip(*np.nonzero(counted), strict=True), key=lambda pair: -counted[pair])[:most]
            named = "; ".join(f"{classes[t]} as {classes[p]} ({counted[t, p]})" for t, p in pairs)
            lines.append([title, kind, int(counted.sum()), named])
    return pd.DataFrame(lines, columns=["learned from", "kind", "cases", "most often"])
