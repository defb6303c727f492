"""From result rows to tables: means and standard deviations over seeds, never a number without its rows."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sscnb.errors import UserError
from sscnb.files import write_json
from sscnb.run import Run
from sscnb.variants import VARIANTS

SHARES = ("mIoU", "IoU", "over", "under", "confused", "best_mIoU", "best_over", "best_under", "best_confused")


def write_report(run: Run) -> list[dict[str, Any]]:
    """Gather every result row of a run into `report.json` and return the rows.

    Raises:
        UserError: nothing has been measured yet.
    """
    rows = run.rows()
    if not rows:
        raise UserError(f"{run.folder} holds no results yet: run the notebooks before 07_evaluation first.")
    write_json(run.folder / "report.json", {"preset": run.config.preset, "rows": rows})
    return rows


def mean_and_deviation(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> pd.DataFrame:
    """Tabulate metrics by variant: "mean ± sd" over seeds where there are several, the value where there is one.

    Shares are in percent with one decimal; other values have two. Rows follow the ladder, columns follow `metrics`; the
    first column is the number of seeds.
    """
    frame = pd.DataFrame([r for r in rows if r["metric"] in metrics and r["value"] is not None])
    if frame.empty:
        raise UserError(f"no rows for {', '.join(metrics)}: the stage that measures them has not run.")
    table = {}
    for variant, group in frame.groupby("variant", sort=False):
        table[variant] = {"seeds": group["seed"].nunique()}
        for metric in metrics:
            table[variant][metric] = _cell(metric, group.loc[group["metric"] == metric, "value"])
    order = sorted(table, key=lambda v: (list(VARIANTS).index(v.partition("@")[0]), v))
    return pd.DataFrame.from_dict(table, orient="index").loc[order].rename_axis("variant")


def _cell(metric: str, values: pd.Series) -> str:
    share = metric.split("/")[1] in SHARES
    factor, digits = (100, 1) if share else (1, 2)
    if values.empty:
        return "not run"
    text = f"{factor * values.mean():.{digits}f}"
    return f"{text} ± {factor * values.std():.{digits}f}" if len(values) > 1 else text
