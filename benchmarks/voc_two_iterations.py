"""Send a full-size preset through two training steps of every stage: what a GPU node will run, has run.

    python benchmarks/voc_two_iterations.py --preset voc --data-root /data/voc12_animals --run-dir runs/voc_check
    python benchmarks/voc_two_iterations.py --preset voc_released --segmentation-batch 2 --write …

Networks, image sizes and batches are the preset's, `voc` or `voc_released`: ResNet-50 at 512 pixels and batch 6 with
VGG-19 as loss network, the relation network at 512 pixels and batch 16 with edges of images padded to 512x512, two
DeepLabV2 with ResNet-101 at 512 pixels. Only these differ:

- sixteen images of the data set's `val` are training split and validation split at once; segmentation has as many of
  them as are in its batch;
- epochs are as few as make two steps, the alignment sets in at once, and mixed images take the networks' own labels in
  the second step, where the preset mixes so;
- images are loaded by the process itself, so that its memory is all there is;
- the weights are those of untrained networks, in files as torchvision has them, so that nothing is downloaded;
- without a GPU segmentation is in float32; `--segmentation-batch` makes its batch smaller, for memory's sake, and
  `--crf none` leaves out the dense CRF.

What untrained networks say of an image means nothing; masks here are of one class or none.

Prints the seconds of each stage and the largest resident memory in it (Linux; elsewhere, in the process so far).
`--write` puts both into book/results/voc_check.json.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torchvision

from sscnb.datasets import open_dataset
from sscnb.files import read_json, write_json
from sscnb.settings import load_config
from sscnb.stages import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES, Run, open_run, provenance

RESULTS = Path(__file__).parent.parent / "book/results/voc_check.json"
PRESETS = ("voc", "voc_released")
IMAGES = 16  # two steps of six, and one of sixteen
SPLIT, FEW = "two_steps", "one_batch"
NETWORKS = ("resnet50", "vgg19", "resnet101")


def stand_in_weights(folder: Path) -> dict[str, str]:
    """Write the state dicts of untrained networks as torchvision's files have them; return their paths.

    The ResNets begin as their shortcuts: with batch-norm statistics that are those of no data, a hundred layers of
    residuals would add up to numbers that no loss is finite for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name in NETWORKS:
        path = folder / f"{name}.pth"
        if not path.is_file():
            torch.manual_seed(0)
            options = {"zero_init_residual": True} if name.startswith("resnet") else {}
            torch.save(torchvision.models.get_model(name, weights=None, **options).state_dict(), path)
        paths[name] = str(path)
    return paths


def sixteen_images(root: Path, folder: Path, batch: int = IMAGES) -> Path:
    """Return a VOC-layout folder of links to a data set's images: the first of its `val`, and the first `batch`."""
    ids = open_dataset(root).ids("val")[:IMAGES]
    (folder / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    for split, part in ((SPLIT, ids), (FEW, ids[:batch])):
        (folder / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(part) + "\n")
    for part in root.resolve().iterdir():
        if part.name != "ImageSets" and not (folder / part.name).exists():
            (folder / part.name).symlink_to(part)
    return folder


def changes(weights: dict[str, str], crf: str, batch: int) -> dict[str, object]:
    """Return what differs from the preset."""
    return {
        **{f"data.{name}": SPLIT for name in ("train_split", "seed_split", "val_split")},
        "cam.weights": weights["resnet50"],
        "cam.epochs": 1,
        "reconstruction.loss_weights": weights["vgg19"],
        "modulation.warmup_epochs": 0,
        **{f"{name}.workers": 0 for name in ("cam", "irn", "segmentation")},
        "irn.weights": weights["resnet50"],
        "irn.epochs": 2,
        "irn.crf": crf,
        "segmentation.weights": weights["resnet101"],
        "segmentation.epochs": 2,
        "segmentation.mix_warmup": 1,
        "segmentation.batch_size": batch,
        "segmentation.crf": crf,
        **({} if torch.cuda.is_available() else {"segmentation.precision": "no"}),
    }


def run_stages(run: Run) -> Iterator[tuple[str, float, float, dict[str, float]]]:
    """Run every stage; yield its name, its seconds, the largest resident memory in GiB, and its losses."""
    calls = [(name, stage, run, ()) for name, stage in RUN_STAGES.items()]
    for stages in (VARIANT_STAGES, REFINING_STAGES):
        calls += [(name, stage, run, ("ssc",)) for name, stage in stages.items()]
    few = replace(run, config=replace(run.config, data=replace(run.config.data, train_split=FEW, val_split=FEW)))
    calls += [(name, stage, few, ("ssc",)) for name, stage in SOURCE_STAGES.items()]
    for name, stage, of, arguments in calls:
        forget_peak()
        began = time.monotonic()
        result = stage(of, *arguments)
        seconds = time.monotonic() - began
        values = {row["metric"]: row["value"] for row in result["rows"]}
        losses = {k: round(v, 3) for k, v in values.items() if k.startswith("train_") and v is not None}
        yield name, seconds, peak_memory(), losses


def forget_peak() -> None:
    """Let the largest resident memory begin anew, where the system can."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def peak_memory() -> float:
    """Return the largest resident memory in GiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def store(preset: str, rows: list[dict[str, Any]]) -> None:
    """Put a preset's rows into the results file, in place of those of the same kind that are there."""
    metrics = {row["metric"] for row in rows}
    there = read_json(RESULTS)["rows"] if RESULTS.exists() else []
    kept = [row for row in there if row["preset"] != preset or row["metric"] not in metrics]
    write_json(RESULTS, {"rows": [*kept, *rows]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="voc")
    parser.add_argument("--data-root", type=Path, required=True, help="VOC-layout folder with a split val")
    parser.add_argument("--run-dir", type=Path, required=True, help="new folder for the run, weights and links")
    parser.add_argument("--crf", choices=("dense", "none"), default="dense", help="of relation labels and predictions")
    parser.add_argument("--segmentation-batch", type=int, default=0, help="instead of the preset's")
    parser.add_argument("--write", action="store_true", help=f"rows into {RESULTS.name}")
    options = parser.parse_args()
    batch = options.segmentation_batch or load_config(options.preset).segmentation.batch_size
    folder = options.run_dir.resolve()
    root = sixteen_images(options.data_root, folder / "data", batch)
    overrides = changes(stand_in_weights(folder / "weights"), options.crf, batch)
    run = open_run(options.preset, run_dir=str(folder / "run"), data_root=str(root), overrides=overrides)
    load = f"load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "load unknown"
    print(f"preset {options.preset} on {IMAGES} images, {torch.get_num_threads()} threads, {load}")
    print(json.dumps(overrides), flush=True)
    rows = []
    for name, seconds, peak, losses in run_stages(run):
        print(f"{name:18} {seconds:7.1f} s, largest resident memory {peak:5.2f} GiB {losses or ''}", flush=True)
        about = {
            "preset": options.preset,
            "stage": name,
            "images": batch if name in SOURCE_STAGES else IMAGES,
            "segmentation_batch": batch,
            "crf": options.crf,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
            "utc": datetime.now(UTC).isoformat(timespec="seconds"),
            **provenance(),
        }
        rows.append({"metric": "stage seconds", "value": round(seconds, 1), "unit": "s", **about})
        rows.append({"metric": "resident peak", "value": round(peak, 2), "unit": "GiB", **about})
    if options.write:
        store(options.preset, rows)


if __name__ == "__main__":
    main()
