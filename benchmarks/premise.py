"""When does a baseline's CAM cover too little of an object? Geometry, clipping and schedule, one change at a time.

    python benchmarks/premise.py --preset voc_animals --data-root ROOT --folder runs/premise --write

Each setting is a run of its own below `--folder`, so that an interrupted measurement goes on. Only the baseline is
trained: a preset is chosen by what it shows, before any part of the method is. `--write` keeps the rows, with the
setting and the number of cells that an object covers on the map at scale 1, as book/results/premise.json.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from sscnb.datasets import inner_size
from sscnb.files import write_json
from sscnb.settings import load_config
from sscnb.stages import Run, evaluate_seeds, infer_cams, open_run, prepare_data, train_cam

RESULTS = Path(__file__).parent.parent / "book/results/premise.json"
METRICS = ("mIoU", "over", "under", "best_mIoU", "best_threshold", "best_over", "best_under")


def settings(crops: list[int], preset: str) -> dict[str, dict[str, Any]]:
    """Return what is changed in each run, by its name.

    Crops are compared without clipping, as the preset was before it was chosen; everything that scales goes along.
    """
    cam = load_config(preset).cam
    runs: dict[str, dict[str, Any]] = {}
    for crop in crops:
        sides = [round(side * crop / cam.crop) for side in cam.resize]
        sized = {"cam.crop": crop, "cam.resize": sides, "inference.long_side": sides[1]}
        runs[f"c{crop}"] = {**sized, "cam.clip": 0.0}
    return runs | {"clipped": {}, "shorter": {"cam.epochs": cam.epochs * 2 // 3}}


def cells_of_objects(run: Run, long_side: int) -> float:
    """Return the median number of cells, at scale 1, that a class covers in an image of the seed split.

    Args:
        long_side: of the images at scale 1; 0 is their own, which is the paper's.
    """
    dataset, config = run.dataset(), run.config
    stride, found = config.cam.output_stride, []
    for image_id in dataset.ids(config.data.seed_split):
        mask = dataset.mask(image_id)
        height, width = (-(-side // stride) for side in inner_size(mask.shape, long_side))
        counts = np.bincount(mask.ravel(), minlength=256)[1:255]
        found += [n / mask.size * height * width for n in counts if n]
    return round(float(np.median(found)), 1)


def measure(run: Run) -> list[dict[str, Any]]:
    """Train and measure the baseline of one setting; return its rows."""
    prepare_data(run)
    train_cam(run)
    rows = [row for row in infer_cams(run)["rows"] if row["metric"] == "classifier/mAP"]
    rows += [row for row in evaluate_seeds(run)["rows"] if row["metric"].removeprefix("seed/") in METRICS]
    cam = run.config.cam
    setting = {"crop": cam.crop, "epochs": cam.epochs, "clip": cam.clip, "backbone": cam.backbone}
    setting["run"] = run.folder.name
    setting["cells"] = cells_of_objects(run, run.config.inference.long_side)
    return [row | {"setting": setting} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure when the baseline's CAMs cover too little.")
    parser.add_argument("--preset", default="voc_animals")
    parser.add_argument("--data-root", required=True, help="a VOC-layout folder")
    parser.add_argument("--folder", type=Path, default=Path("runs/premise"))
    parser.add_argument("--crops", type=int, nargs="*", default=[176, 256, 320, 448])
    parser.add_argument("--only", nargs="*", default=[], help="names of runs, such as c320 or clipped (default: all)")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    runs = settings(options.crops, options.preset)
    rows = []
    for name in options.only or runs:
        run = open_run(options.preset, str(options.folder.resolve() / name), options.data_root, 0, runs[name])
        rows += measure(run)
        shown = {row["metric"]: round(row["value"], 4) for row in rows if row["setting"]["run"] == name}
        print(name, rows[-1]["setting"], shown, flush=True)
    if options.write:
        write_json(RESULTS, {"rows": rows, "paper_cells": cells_of_objects(run, 0)})


if __name__ == "__main__":
    main()
