"""When a baseline's CAMs cover too little: the rows that `benchmarks/premise.py` keeps, as a table."""

import pandas as pd

from sscnb.evidence.metrics import describe
from sscnb.files import read_json
from sscnb.stages import project_root

_SETTINGS = ("train_images", "crop", "epochs", "clip", "cells")


def premise_table(preset: str = "voc_animals") -> tuple[pd.DataFrame, float]:
    """Return what baselines of different geometry, schedule and peaks do, and the cells an object has in the paper's.

    One row a setting: `train_images`, `crop` in pixels, `epochs`, `clip`, `peaks` "capped" (the backbone ends in a
    ReLU6) or "free", `cells` that the median object covers on the map at scale 1; then metrics of the seed and the
    classifier under their own names, in the units of `METRICS`.
    """
    kept = read_json(project_root() / "book/results/premise.json", {"rows": list, "paper_cells": float})
    table: dict[str, dict[str, float | str]] = {}
    for row in (row for row in kept["rows"] if row["preset"] == preset):
        setting = row["setting"]
        line = table.setdefault(setting["run"], {name: setting[name] for name in _SETTINGS})
        line["peaks"] = peaks(setting["backbone"])
        line[row["metric"]] = describe(row["metric"]).shown(row["value"])
    return pd.DataFrame.from_dict(table, orient="index"), kept["paper_cells"]


def peaks(backbone: str) -> str:
    """Say whether a backbone caps the peaks of its last map by itself: "capped", or "free"."""
    return "capped" if backbone == "efficientnet_lite0" else "free"
