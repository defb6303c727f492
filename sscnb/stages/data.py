"""Stages of chapter 1: the data set and its superpixels."""

import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sscnb.datasets import Dataset, check_images, link_subset, misspelt
from sscnb.datasets.scenes import scene_files, write_scenes
from sscnb.files import made_again, user_path
from sscnb.locks import locks_given_back
from sscnb.method import adopt_superpixels, read_superpixels, segment_files
from sscnb.parallel import worth_starting
from sscnb.ranks import is_main, local_ranks, share
from sscnb.settings import settings_dict
from sscnb.stages.provenance import project_root
from sscnb.stages.run import Run, data_settings
from sscnb.stages.stage import Result


@locks_given_back()
def prepare_data(run: Run) -> Result:
    """Make or link the data set, look at every file once, and count classes per split."""
    stage = run.stage(run.folder / "data", "data", {"data": data_settings(run.config), "root": run.data_root})
    if stage.done():
        return stage.load()
    stage.begin()
    if not is_main():
        return stage.wait()
    folder, data = run.dataset_folder, run.config.data
    if data.source == "scenes":
        write_scenes(folder, data.scenes)
    elif data.subset:
        link_subset(Path(run.data_root), folder, data.subset)
    elif not folder.exists():
        folder.unlink(missing_ok=True)  # a link to a folder that has moved
        folder.symlink_to(run.data_root, target_is_directory=True)
    dataset = run.dataset()
    splits = {split: dataset.ids(split) for split in _splits(run, dataset)}
    everything = list(dict.fromkeys(i for ids in splits.values() for i in ids))
    check_images(dataset, everything, masks=True)
    content, _ = run.content(dataset)
    counts = {split: np.sum([dataset.labels(i) for i in ids], axis=0).tolist() for split, ids in splits.items()}
    learned = dict(zip(dataset.classes, map(int, counts[data.train_split]), strict=True))
    shown = ", ".join(f"{name} {n}" for name, n in learned.items())
    tqdm.write(f"images of each class: {shown}", file=sys.stderr)  # as progress: results alone are printed
    for doubt in misspelt(learned):
        tqdm.write(f"note: {doubt}", file=sys.stderr)
    sizes = {f"images/{split}": len(ids) for split, ids in splits.items()}
    made = [folder / name for name in scene_files(data.scenes)] if data.source == "scenes" else [folder]
    return stage.finish(sizes, files=made, counts=counts, classes=list(dataset.classes), content=content)


@locks_given_back()
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
        {"superpixels": settings, "data": run.data_hash()},
    )
    if stage.done():
        return stage.load()
    stage.begin()
    dataset = run.dataset()
    paths = {i: dataset.image_path(i) for i in dataset.ids(run.config.data.train_split)}
    processes = run.config.superpixels.workers or (os.cpu_count() or 1) // local_ranks()
    workers = worth_starting(processes, len(paths))
    if settings["folder"]:
        given = project_root() / user_path(settings["folder"])
        if is_main():
            adopt_superpixels(paths, given, folder, workers=workers)
    else:
        regions_at_most = settings["max_regions"]
        if is_main():
            segment_files({}, folder, max_regions=regions_at_most, progress=False)  # the folder's own record
        stage.meet()
        own = {i: paths[i] for i in share(list(paths))}
        segment_files(own, folder, max_regions=regions_at_most, workers=workers, progress=is_main())
    stage.meet()
    if not is_main():
        return stage.wait()
    maps = [folder / f"{i}.png" for i in paths]
    regions = []
    for path in maps:
        with made_again(path):
            regions.append(int(read_superpixels(path).max()) + 1)
    files = [folder / "superpixels.json", *maps]
    return stage.finish({"images": len(paths), "mean_regions": float(np.mean(regions))}, files=files)


def _splits(run: Run, dataset: Dataset) -> list[str]:
    data = run.config.data
    wanted = [data.train_split, data.seed_split]
    return list(dict.fromkeys(wanted + ([data.val_split] if data.val_split in dataset.splits else [])))
