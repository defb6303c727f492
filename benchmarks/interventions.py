"""Why does a step of the ladder cost something on the photographs? Its networks, with one thing changed at a time.

    python benchmarks/interventions.py --data-root ROOT --only longer --seeds 0 1 2 --write
    python benchmarks/interventions.py --data-root MSRC --only msrc21 --write

Each change is a run of its own below `--folder`, so that an interrupted measurement goes on. What a change cannot reach
is not trained: that of `fewer` is compared then. `--write` puts the rows into book/results/interventions.json,
in the place of those of the same change, variant and random seed.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sscnb.datasets import IGNORE, Dataset, open_dataset, save_mask, subset_splits
from sscnb.evidence import replace_rows
from sscnb.evidence.interventions import CHANGES
from sscnb.settings import find_variant
from sscnb.stages import Run, evaluate_seeds, infer_cams, make_superpixels, open_run, prepare_data, train_cam

PRESET = "voc_animals"
METRICS = ("seed/mIoU", "seed/over", "seed/under", "seed/tuned_mIoU", "seed/best_mIoU", "seed/best_threshold")
OTHERS = ("classifier/mAP", "train_classification", "reconstruction/gap")


def eight_classes(root: Path, folder: Path) -> Path:
    """Make a VOC-layout folder of the same photographs with the label space cut down to the classes that they show."""
    if folder.exists():
        return folder
    making, dataset, splits = folder.with_name(f".{folder.name}.tmp"), open_dataset(root), subset_splits(PRESET)
    shown = {name for split in splits for image_id in splits[split] for name in dataset.class_names(image_id)}
    names = [name for name in dataset.classes if name in shown]
    index = np.full(256, IGNORE, np.uint8)
    index[0] = 0
    for place, name in enumerate(names, start=1):
        index[dataset.classes.index(name) + 1] = place
    (making / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    for split, ids in splits.items():
        (making / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{image_id}\n" for image_id in ids))
        for image_id in ids:
            _put(dataset, image_id, index, making)
    lines = {i: ";".join(dataset.class_names(i)) for ids in splits.values() for i in ids}
    (making / "labels.csv").write_text("id,classes\n" + "".join(f"{i},{line}\n" for i, line in lines.items()))
    (making / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    making.rename(folder)
    return folder


def _put(dataset: Dataset, image_id: str, index: np.ndarray, folder: Path) -> None:
    image = dataset.image_path(image_id)
    for part in ("JPEGImages", "SegmentationClass"):
        (folder / part).mkdir(exist_ok=True)
    link = folder / "JPEGImages" / image.name
    if not link.is_symlink():
        link.symlink_to(image.resolve())
    if dataset.mask_path(image_id).is_file():
        save_mask(folder / f"SegmentationClass/{image_id}.png", index[dataset.mask(image_id)])


def measure(run: Run, variant: str) -> list[dict[str, Any]]:
    """Train and measure one variant; return its rows."""
    prepare_data(run)
    if find_variant(variant, run.config)[0].modulation:
        make_superpixels(run)
    rows = [*train_cam(run, variant)["rows"], *infer_cams(run, variant)["rows"], *evaluate_seeds(run, variant)["rows"]]
    return [row for row in rows if row["metric"] in (*METRICS, *OTHERS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path, help="VOC 2012, or its part; of msrc21 that set")
    parser.add_argument("--folder", type=Path, default=Path("runs/interventions"))
    parser.add_argument("--only", nargs="*", default=[], choices=list(CHANGES), help="changes (default: all on VOC)")
    parser.add_argument("--variant", nargs="*", default=[], help="of those that a change reaches (default: all)")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0], help="random seeds (default: 0)")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    rows = []
    for name in options.only or [name for name in CHANGES if name != "msrc21"]:
        change, folder, root = CHANGES[name], options.folder.resolve(), options.data_root.resolve()
        if name == "eight":
            root = eight_classes(root, folder / "eight_classes")
        for seed, variant in product(options.seeds, options.variant or change.variants):
            run = open_run(PRESET, str(folder / name), str(root), seed, dict(change.overrides))
            rows += [row | {"change": name} for row in measure(run, variant)]
            print(name, variant, seed, {row["metric"]: round(row["value"], 4) for row in rows[-8:]}, flush=True)
    if options.write:
        replace_rows("interventions", rows, ("change", "variant", "seed"))


if __name__ == "__main__":
    main()
