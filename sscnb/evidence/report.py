"""From result rows to tables: means and standard deviations over seeds, never a number without its rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from sscnb.errors import UserError, nearest
from sscnb.evidence import paper
from sscnb.evidence.metrics import describe
from sscnb.files import read_json, write_json
from sscnb.settings import LADDER, VARIANTS, changed_settings
from sscnb.stages import Run, project_root

Rows = Sequence[dict[str, Any]]

NOT_RUN = "not run"


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

    Values have the unit and the digits that `METRICS` says. Rows follow the ladder, columns follow `metrics`; the first
    column is the number of seeds. Without such rows the table is empty.

    Raises:
        UserError: there are several rows of one variant and random seed, as on two splits; or a metric has no title.
    """
    frame = pd.DataFrame([r for r in rows if r["metric"] in metrics and r["value"] is not None])
    if frame.empty:
        return pd.DataFrame(columns=["seeds", *metrics], index=pd.Index([], name="variant"))
    table = {}
    for variant, group in frame.groupby("variant", sort=False):
        table[variant] = {"seeds": group["seed"].nunique()}
        for metric in metrics:
            found = group[group["metric"] == metric]
            if found["seed"].duplicated().any():
                splits = ", ".join(map(str, found["split"].unique())) if "split" in found else "unknown"
                raise UserError(f"{variant} has several values of {metric} for one random seed (splits {splits}).")
            table[variant][metric] = _cell(metric, found["value"])
    places = {name: place for place, name in enumerate(VARIANTS)}
    # What is no variant, such as the segmentation that learned from true masks, comes last.
    order = sorted(table, key=lambda v: (places.get(v.partition("@")[0], len(places)), v))
    return pd.DataFrame.from_dict(table, orient="index").loc[order].rename_axis("variant")


def _cell(metric: str, values: pd.Series) -> str:
    if values.empty:
        return NOT_RUN
    kind = describe(metric)
    text = f"{kind.shown(values.mean()):.{kind.digits}f}"
    return f"{text} ± {kind.shown(values.std()):.{kind.digits}f}" if len(values) > 1 else text


def own_split(rows: Sequence[dict[str, Any]], metric: str, **labels: Any) -> list[dict[str, Any]]:
    """Return the rows of a metric with these labels, on one split: a run's own, which comes before others."""
    found = [row for row in rows if row["metric"] == metric and row["value"] is not None]
    found = [row for row in found if all(row.get(name) == value for name, value in labels.items())]
    return [row for row in found if row.get("split") == found[0].get("split")]


def one_kind(rows: Rows, metric: str, variant: str) -> Rows:
    """Return a metric's rows of one variant that agree in CRF and backbone: the dense CRF's where there is one."""
    found = own_split(rows, metric, variant=variant)
    found = sorted(found, key=lambda r: r.get("pseudo_crf", r.get("crf")) != "dense")
    kinds = ("crf", "pseudo_crf", "backbone")
    return [r for r in found if all(r.get(k) == found[0].get(k) for k in kinds)]


def value_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of one metric and variant as text: "mean ± sd" over seeds, one value, or "not run" without rows.

    Raises:
        UserError: as of `mean_and_deviation`.
    """
    if not rows:
        return NOT_RUN
    return mean_and_deviation(rows, [rows[0]["metric"]])[rows[0]["metric"]].item()


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]], numbers: int) -> str:
    """Return a Markdown table whose last `numbers` columns are aligned to the right.

    Raises:
        UserError: a line has not as many cells as the head.
    """
    if any(len(line) != len(head) for line in lines):
        raise UserError(f"a table with the columns {', '.join(head)} has lines of another length.")
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *lines])


def by_rule(sets: Mapping[str, Rows]) -> dict[str, tuple[str, Rows]]:
    """Return sets of rows by title and threshold rule, with what the rule's metrics begin with.

    One at the fixed threshold; where the threshold that is best on `val` was measured too, one at that.
    """
    columns: dict[str, tuple[str, Rows]] = {}
    for title, rows in sets.items():
        tuned = any(row["metric"] == "seed/tuned_mIoU" for row in rows)
        rules = {f"{title}, fixed": "", f"{title}, tuned": "tuned_"} if tuned else {title: ""}
        columns |= {named: (rule, rows) for named, rule in rules.items()}
    return columns


def ladder_table(sets: Mapping[str, Rows]) -> str:
    """Return the results table as Markdown: the paper's seeds beside measured ones, by set of rows and threshold rule.

    Args:
        sets: result rows by title. What a set has no rows for reads "not run".
    """
    printed = paper.load(7)["miou"]
    tables = {title: _seeds(rows, f"seed/{rule}mIoU") for title, (rule, rows) in by_rule(sets).items()}
    head = ["method", "paper: VOC 2012 train", *tables]
    lines = []
    for variant, value in zip(LADDER, printed, strict=True):
        cells = [VARIANTS[variant].title, f"{value:.1f}", *(table.get(variant, NOT_RUN) for table in tables.values())]
        lines.append(cells)
    return markdown_table(head, lines, numbers=len(head) - 1)


def describe_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return in one line what the seeds' rows of a table column were measured with."""
    seeds = own_split(rows, "seed/mIoU")  # they may have been measured on others too, in folders `seeds_<split>`
    if not seeds:
        return NOT_RUN
    number = len({row["seed"] for row in seeds})
    variants = {row["variant"] for row in seeds}
    # The seeds themselves are cut on the processor; what counts is where their networks were trained.
    trained = [row for row in rows if row.get("stage") == "cam" and row["variant"] in variants]
    devices = sorted({row["device"] for row in trained or seeds})
    return (
        f"preset `{seeds[0]['preset']}`, split {seeds[0]['split']}, {number} random seed{'s' if number > 1 else ''}, "
        f"threshold fixed at {seeds[0]['threshold']:g}, no CRF, {', '.join(devices)}"
    )


def _seeds(rows: Rows, metric: str) -> dict[str, str]:
    seeds = own_split(rows, metric)
    return mean_and_deviation(seeds, [metric])[metric].to_dict() if seeds else {}


class ReferenceSet(NamedTuple):
    """Rows that are kept with the book, as `book/results/<name>.json`: their title, and where their data lie."""

    title: str
    data_root: str = ""


REFERENCE_SETS = {
    "voc_animals": ReferenceSet("VOC photographs", "/data/voc/VOCdevkit/VOC2012"),
    "scenes": ReferenceSet("generated scenes"),
}


def reference_rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of ladders that are kept with the book, by the title of their data set."""
    return {kept.title: rows for name, kept in REFERENCE_SETS.items() if (rows := kept_rows(name))}


def kept_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows that `keep_rows` wrote under a name; none where it has not."""
    path = project_root() / f"book/results/{name}.json"
    return [
        {"metric": metric, "value": value, **{k: v for k, v in group.items() if k != "values"}}
        for group in (read_json(path, {"groups": list})["groups"] if path.is_file() else [])
        for metric, value in group["values"].items()
    ]


def keep_rows(run: Run, name: str, splits: Sequence[str]) -> None:
    """Keep a run's rows with the book, as `book/results/<name>.json`: those of the splits, without single classes.

    Rows that differ in metric and value alone share what they were measured with. Beside them stands what the run was
    made with: preset, changed settings, and a digest of the data that it learned from.

    Raises:
        UserError: there is no such reference set, or the run has measured nothing on these splits.
    """
    if name not in REFERENCE_SETS:
        raise UserError(f"there is no reference set {name!r}; {nearest(name, list(REFERENCE_SETS))}")
    groups: dict[str, dict[str, Any]] = {}
    for row in run.rows():
        if "/IoU/" not in row["metric"] and row.get("split") in (None, *splits):
            labels = {key: value for key, value in row.items() if key not in ("metric", "value")}
            group = groups.setdefault(json.dumps(labels, sort_keys=True), labels | {"values": {}})
            group["values"][row["metric"]] = row["value"]
    if not any("split" in group for group in groups.values()):
        raise UserError(f"{run.folder} holds no results on split {' or '.join(splits)}, so there is nothing to keep.")
    data = read_json(run.folder / "data/results.json") if (run.folder / "data/results.json").is_file() else {}
    made = {"preset": run.config.preset, "overrides": changed_settings(run.config), "data": data.get("content", "")}
    write_json(project_root() / f"book/results/{name}.json", {"made": made, "groups": list(groups.values())})


def replace_rows(name: str, rows: Rows, by: Sequence[str]) -> None:
    """Keep a benchmark's rows with the book, as `book/results/<name>.json`, beside those that are there.

    Args:
        by: labels; rows that agree with a new one in all of them give way.
    """
    path = project_root() / f"book/results/{name}.json"
    kept = read_json(path, {"rows": list})["rows"] if path.is_file() else []
    done = {tuple(row[label] for label in by) for row in rows}
    others = [row for row in kept if tuple(row[label] for label in by) not in done]
    write_json(path, {"rows": [*others, *rows]})
