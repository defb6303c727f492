"""Stages of chapter 01: the data set and its superpixels."""

from pathlib import Path

import numpy as np

from sscnb.datasets import Dataset, check_images
from sscnb.datasets.scenes import write_scenes
from sscnb.method import adopt_superpixels, read_superpixels, segment_files
from sscnb.settings import settings_dict
from sscnb.stages.provenance import project_root
from sscnb.stages.run import Run
from sscnb.stages.stage import Result


def prepare_data(run: Run) -> Result:
    """Make or link the data set, look at every file once, and count classes per split."""
    stage = run.stage(run.folder / "data", "data", {"data": settings_dict(run.config.data), "root": run.data_root})
    if stage.done():
        return stage.load()
    stage.begin()
    folder, data = run.dataset_folder, run.config.data
    if data.source == "scenes":
        write_scenes(folder, data.scenes)
    elif not folder.exists():
        folder.unlink(missing_ok=True)  # a link to a folder that has moved
        folder.symlink_to(run.data_root, target_is_directory=True)
    dataset = run.dataset()
    splits = {split: dataset.ids(split) for split in _splits(run, dataset)}
    everything = list(dict.fromkeys(i for ids in splits.values() for i in ids))
    check_images(dataset, everything, masks=True)
    counts = {split: np.sum([dataset.labels(i) for i in ids], axis=0).tolist() for split, ids in splits.items()}
    sizes = {f"images/{split}": len(ids) for split, ids in splits.items()}
    return stage.finish(sizes, counts=counts, classes=list(dataset.classes))


def make_superpixels(run: Run) -> Result:
    """Segment every training image into at most `max_regions` superpixels, or take over those of `superpixels.folder`.

    A relative folder is taken from the project's, as `data_root` is.

    Raises:
        UserError: images or foreign maps that cannot be used; up to five of the maps are named.
    """
    folder = run.folder / "superpixels"
    settings = settings_dict(run.config.superpixels)
    settings.pop("workers")  # changes the speed alone
    stage = run.stage(
        folder,
        "superpixels",
        {"superpixels": settings, "data": run.done_hash(run.folder / "data", "01_data_preparation")},
    )
    if stage.done():
        return stage.load()
    stage.begin()
    dataset = run.dataset()
    paths = {i: dataset.image_path(i) for i in dataset.ids(run.config.data.train_split)}
    workers = run.config.superpixels.workers or None
    if settings["folder"]:
        adopt_superpixels(paths, project_root() / Path(settings["folder"]).expanduser(), folder, workers=workers)
    else:
        segment_files(paths, folder, max_regions=settings["max_regions"], workers=workers)
    regions = [int(read_superpixels(folder / f"{i}.png").max()) + 1 for i in paths]
    return stage.finish({"images": len(paths), "mean_regions": float(np.mean(regions))})


def _splits(run: Run, dataset: Dataset) -> list[str]:
    data = run.config.data
    wanted = [data.train_split, data.seed_split]
    return list(dict.fromkeys(wanted + ([data.val_split] if data.val_split in dataset.splits else [])))
