"""When a baseline's CAMs cover too little: the rows that `benchmarks/premise.py` keeps, as a table."""

import pandas as pd

from sscnb.files import read_json
from sscnb.stages import project_root

_PERCENT = ("mIoU", "over", "under", "best_mIoU", "best_over", "best_under", "mAP")


def premise_table() -> tuple[pd.DataFrame, float]:
    """Return what baselines of different geometry and schedule do, and how many cells an object has in the paper's.

    One row a setting: `crop` in pixels, `epochs`, `clip`, `cells` that the median object covers on the map at scale 1;
    mIoU, over- and under-activation at the fixed threshold and best mIoU in percent, `best_threshold`, mAP in percent.
    """
    kept = read_json(project_root() / "book/results/premise.json", {"rows": list, "paper_cells": float})
    table: dict[str, dict[str, float]] = {}
    for row in kept["rows"]:
        setting = row["setting"]
        line = table.setdefault(setting["run"], {name: setting[name] for name in ("crop", "epochs", "clip", "cells")})
        name = row["metric"].partition("/")[2]
        line[name] = row["value"] * (100 if name in _PERCENT else 1)
    return pd.DataFrame.from_dict(table, orient="index"), kept["paper_cells"]
