"""When does a baseline's CAM cover too little of an object? Geometry, clipping, schedule and capped peaks.

    python benchmarks/premise.py --preset voc_animals --data-root ROOT --folder runs/premise --write
    python benchmarks/premise.py --preset small --only capped preset --folder runs/premise_scenes --write

Each setting is a run of its own below `--folder`, so that an interrupted measurement goes on. Only the baseline is
trained: a preset is chosen by what it shows, before any part of the method is. `--write` puts the rows, with the
setting and the number of cells that an object covers on the map at scale 1, into book/results/premise.json, in the
place of those of the same preset and setting.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sscnb.datasets import Sample, inner_size, resize_long
from sscnb.files import read_json, write_json
from sscnb.networks import device, to_tensor
from sscnb.settings import load_config
from sscnb.stages import Run, evaluate_seeds, infer_cams, load_cam_net, open_run, prepare_data, provenance, train_cam

RESULTS = Path(__file__).parent.parent / "book/results/premise.json"
METRICS = ("mIoU", "over", "under", "best_mIoU", "best_threshold", "best_over", "best_under")
CAPPED = "efficientnet_lite0"  # ends in a ReLU6
CEILING = 6.0


def settings(crops: list[int], preset: str) -> dict[str, dict[str, Any]]:
    """Return what is changed in each run, by its name.

    Crops are compared without clipping and with capped peaks, as the preset was before it was chosen; everything that
    scales goes along. In `capped` and `shorter` peaks are capped too. All but `preset` learn from split `train`.
    """
    cam = load_config(preset).cam
    fewer = {"data.train_split": "train"}
    capped = {**fewer, "cam.backbone": CAPPED}
    runs: dict[str, dict[str, Any]] = {}
    for crop in crops:
        sides = [round(side * crop / cam.crop) for side in cam.resize]
        sized = {"cam.crop": crop, "cam.resize": sides, "inference.long_side": sides[1]}
        runs[f"c{crop}"] = {**sized, **capped, "cam.clip": 0.0}
    runs |= {"capped": capped, "shorter": {**capped, "cam.epochs": cam.epochs * 2 // 3}}
    return runs | {"fewer": fewer, "preset": {}}


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


@torch.no_grad()
def capped_share(run: Run, number: int = 40) -> float:
    """Return the share of what speaks for an image's classes that comes from channels whose peak reaches the ceiling.

    What speaks for a class is the sum over channels of positive weight times mean. Means over some images of the seed
    split, spread evenly.
    """
    net, dataset, found = load_cam_net(run, "baseline", run.seed), run.dataset(), []
    ids = dataset.ids(run.config.data.seed_split)
    for image_id in ids[:: max(1, len(ids) // number)][:number]:
        image = resize_long(Sample(dataset.image(image_id)), run.config.cam.crop).image
        channels = net.backbone(to_tensor(image)[None].to(device()))[-1][0]  # K,h,w
        for index in np.flatnonzero(dataset.labels(image_id)):
            speaks = net.classifier.weight[index, :, 0, 0].clamp(min=0) * channels.mean(dim=(1, 2))
            found.append(float(speaks[channels.amax(dim=(1, 2)) >= CEILING - 1e-3].sum() / speaks.sum()))
    return float(np.mean(found))


def measure(run: Run, name: str) -> list[dict[str, Any]]:
    """Train and measure the baseline of one setting; return its rows."""
    prepare_data(run)
    train_cam(run)
    rows = [row for row in infer_cams(run)["rows"] if row["metric"] == "classifier/mAP"]
    rows += [row for row in evaluate_seeds(run)["rows"] if row["metric"].removeprefix("seed/") in METRICS]
    rows += [rows[-1] | provenance() | {"metric": "peaks/capped", "value": capped_share(run)}]
    cam = run.config.cam
    setting = {"crop": cam.crop, "epochs": cam.epochs, "clip": cam.clip, "backbone": cam.backbone}
    setting |= {"run": name, "train_images": len(run.dataset().ids(run.config.data.train_split))}
    setting["cells"] = cells_of_objects(run, run.config.inference.long_side)
    return [row | {"setting": setting} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure when the baseline's CAMs cover too little.")
    parser.add_argument("--preset", default="voc_animals")
    parser.add_argument("--data-root", default="", help="a VOC-layout folder, for presets that read one")
    parser.add_argument("--folder", type=Path, default=Path("runs/premise"))
    parser.add_argument("--crops", type=int, nargs="*", default=[176, 256, 320, 448])
    parser.add_argument("--only", nargs="*", default=[], help="names of runs, such as c320 or capped (default: all)")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    runs = settings(options.crops, options.preset)
    rows = []
    for name in options.only or runs:
        run = open_run(options.preset, str(options.folder.resolve() / name), options.data_root, 0, runs[name])
        rows += measure(run, name)
        shown = {row["metric"]: round(row["value"], 4) for row in rows if row["setting"]["run"] == name}
        print(name, rows[-1]["setting"], shown, flush=True)
    if options.write:
        done = {(row["preset"], row["setting"]["run"]) for row in rows}
        kept = read_json(RESULTS, {"rows": list, "paper_cells": float})
        kept["rows"] = [row for row in kept["rows"] if (row["preset"], row["setting"]["run"]) not in done] + rows
        if run.data_root:
            kept["paper_cells"] = cells_of_objects(run, 0)
        write_json(RESULTS, kept)


if __name__ == "__main__":
    main()
