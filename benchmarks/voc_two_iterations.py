"""Send the preset `voc` through two training steps of every stage on the processor: what a GPU node will run, has run.

    python benchmarks/voc_two_iterations.py --data-root /data/voc12_sample --run-dir runs/voc_check

Networks, image sizes and batches are the preset's: ResNet-50 at 512 pixels and batch 6 with VGG-19 as loss network, the
relation network and DeepLabV2 with ResNet-101 at 512 pixels and batch 16. Only these differ: sixteen images of the data
set's `val` are training split and validation split at once; epochs are as few as make two steps; the alignment sets in
at once; images are loaded by the process itself, so that its memory is all there is; and the weights are those of
untrained networks, in files as torchvision has them, so that nothing is downloaded. Prints each stage's seconds and the
largest resident memory so far.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import torch
import torchvision

from sscnb.datasets import open_dataset
from sscnb.stages import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES, Run, open_run

IMAGES = 16  # two steps of six, and one of sixteen
SPLIT = "two_steps"
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


def sixteen_images(root: Path, folder: Path) -> Path:
    """Return a VOC-layout folder of links to a data set's images, with one split: the first images of its `val`."""
    ids = open_dataset(root).ids("val")[:IMAGES]
    (folder / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    (folder / f"ImageSets/Segmentation/{SPLIT}.txt").write_text("\n".join(ids) + "\n")
    for part in root.resolve().iterdir():
        if part.name != "ImageSets" and not (folder / part.name).exists():
            (folder / part.name).symlink_to(part)
    return folder


def changes(weights: dict[str, str], crf: str) -> dict[str, object]:
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
        "segmentation.crf": crf,
    }


def run_stages(run: Run) -> None:
    """Run every stage, and say what it took."""
    calls = [(name, stage, ()) for name, stage in RUN_STAGES.items()]
    for stages in (VARIANT_STAGES, REFINING_STAGES, SOURCE_STAGES):
        calls += [(name, stage, ("ssc",)) for name, stage in stages.items()]
    for name, stage, arguments in calls:
        began = time.monotonic()
        result = stage(run, *arguments)
        values = {row["metric"]: row["value"] for row in result["rows"]}
        losses = {k: round(v, 3) for k, v in values.items() if k.startswith("train_") and v is not None}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds = time.monotonic() - began
        print(f"{name:18} {seconds:7.1f} s, largest resident memory so far {peak:5.2f} GiB {losses or ''}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="VOC-layout folder with a split val")
    parser.add_argument("--run-dir", type=Path, required=True, help="new folder for the run, weights and links")
    parser.add_argument("--crf", choices=("dense", "none"), default="dense", help="of relation labels and predictions")
    options = parser.parse_args()
    folder = options.run_dir.resolve()
    root = sixteen_images(options.data_root, folder / "data")
    overrides = changes(stand_in_weights(folder / "weights"), options.crf)
    run = open_run("voc", run_dir=str(folder / "run"), data_root=str(root), overrides=overrides)
    load = f"load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "load unknown"
    print(f"preset voc on {IMAGES} images, {torch.get_num_threads()} threads, {load}\n{json.dumps(overrides)}")
    run_stages(run)


if __name__ == "__main__":
    main()
