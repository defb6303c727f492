"""PASCAL VOC 2012 with SBD's masks, the set that the field trains on: found or fetched, completed, counted.

VOC 2012 has the layout already. What is added to its folder: `SegmentationClassAug`, with links to VOC's own masks and
SBD's (Hariharan et al., ICCV 2011) for the images that have none; the split `train_aug`, SBD's images and VOC's train
without VOC's val; and `labels.csv`, the image-level labels of all annotations. Each is made under a temporary name, so
that a folder that is opened half-way is VOC's alone, and what exists is not made again.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sscnb.datasets.folder import VOC_CLASSES, Dataset, open_dataset, shown_classes
from sscnb.datasets.names import name_fault
from sscnb.datasets.preparation import check_count, check_files, convert, link, write_labels, write_list
from sscnb.datasets.sbd import convert_mask, sbd_folder, sbd_ids, sbd_whole
from sscnb.errors import UserError
from sscnb.files import user_path
from sscnb.parallel import in_processes

COUNTS = {"train": 1464, "val": 1449, "train_aug": 10582, "test": 1456}
_DEVKIT = Path("VOCdevkit/VOC2012")  # where the archive puts it
_LISTS = Path("ImageSets/Segmentation")
_AUG = "SegmentationClassAug"
_MASKS_A_WORKER = 100  # fewer are read sooner than a process starts


def prepare_voc(
    root: str | Path,
    *,
    sbd: str | Path = "",
    download: bool = False,
    partial: bool = False,
    workers: int = 0,
    expected: Mapping[str, int] = COUNTS,
) -> Path:
    """Check and complete a VOC 2012 folder and return its path, to be given as data root.

    Args:
        root: the folder itself, or the one that holds `VOCdevkit/VOC2012`.
        sbd: SBD's folder (with `cls`, `train.txt`, `val.txt`) or the one that holds `benchmark_RELEASE/dataset`;
            empty: looked for in the two folders above, and in `sbd` or `SBD` in them.
        download: fetch what is missing with torchvision, which checks the archives' checksums.
        partial: take what is there, with a note for each count or file that lacks.
        workers: processes that convert masks; 0 is one a core.
        expected: images of each split.

    Raises:
        UserError: files or masks are missing, damaged or of another size, or a count is not the release's.
    """
    root = Path(os.path.realpath(user_path(root)))
    folder = voc_folder(root)
    if download and (folder is None or not _whole(folder)):
        _fetch_voc(root if folder is None else folder)
        folder = voc_folder(root)
    if folder is None:
        raise UserError(
            f"{root} holds no VOC 2012: neither JPEGImages/ nor {_DEVKIT}/JPEGImages/ is there. Unpack "
            "VOCtrainval_11-May-2012.tar into it, or add --download."
        )
    dataset = open_dataset(folder)
    for split in ("train", "val"):
        if split in dataset.splits or not partial:
            check_count(f"split {split}", len(dataset.ids(split)), expected[split], partial=partial)
    for part, paths in _parts(folder, _own(dataset)).items():
        check_files(f"{part} of train and val", paths, partial=partial)
    _add_masks(folder, root, sbd, download=download, partial=partial, workers=workers, expected=expected["train_aug"])
    _add_labels(open_dataset(folder), partial=partial)
    _check_masks(open_dataset(folder), partial=partial, workers=workers)
    if "test" in dataset.splits:
        ids = dataset.ids("test")
        check_count("split test", len(ids), expected["test"], partial=partial)
        check_files("images of test", (folder / f"JPEGImages/{i}.jpg" for i in ids), partial=partial)
    else:
        print("note: no split test; its images come from the challenge's server and are needed for `submit` alone.")
    dataset = open_dataset(folder)
    print(f"{folder}: " + ", ".join(f"{split} {len(dataset.ids(split)):,}" for split in dataset.splits))
    return folder


def voc_folder(root: Path) -> Path | None:
    """Return the folder that holds VOC's JPEGImages: `root`, or the development kit in it; None if neither does."""
    return next((f for f in (root, root / _DEVKIT) if (f / "JPEGImages").is_dir()), None)


def _own(dataset: Dataset) -> list[str]:
    return [i for split in ("train", "val") if split in dataset.splits for i in dataset.ids(split)]


def _parts(folder: Path, ids: list[str]) -> dict[str, list[Path]]:
    return {
        "images": [folder / f"JPEGImages/{i}.jpg" for i in ids],
        "annotations": [folder / f"Annotations/{i}.xml" for i in ids],
        "masks": [folder / f"SegmentationClass/{i}.png" for i in ids],
    }


def _whole(folder: Path) -> bool:
    """Tell whether an archive has been unpacked to its end, as far as the lists tell."""
    if not all((folder / _LISTS / f"{split}.txt").is_file() for split in ("train", "val")):
        return False
    return all(path.is_file() for paths in _parts(folder, _own(open_dataset(folder))).values() for path in paths)


def _fetch_voc(folder: Path) -> None:
    from torchvision.datasets import VOCSegmentation

    if (folder / "JPEGImages").is_dir():  # incomplete: it is unpacked over once more
        if folder.parts[-2:] != _DEVKIT.parts:
            raise UserError(f"{folder} is incomplete and cannot be completed by a download, which makes {_DEVKIT}/.")
        folder = folder.parents[1]
    _fetch("VOC 2012", lambda: VOCSegmentation(folder, year="2012", image_set="train", download=True))


def _fetch_sbd(folder: Path) -> None:
    from torchvision.datasets import SBDataset
    from torchvision.datasets.utils import download_and_extract_archive as fetch

    # Not SBDataset(download=True): it moves what it has unpacked, which fails the second time.
    _fetch("SBD", lambda: fetch(SBDataset.url, str(folder), filename=SBDataset.filename, md5=SBDataset.md5))


def _fetch(name: str, function: Callable[[], object]) -> None:
    try:
        function()
    except (OSError, RuntimeError, EOFError) as error:  # no network, a wrong checksum, a full disk
        raise UserError(
            f"{name} could not be downloaded ({error}). Try again later, or fetch the archive by other means, unpack "
            "it and give its folder."
        ) from error


def _add_labels(dataset: Dataset, *, partial: bool) -> None:
    """Gather the annotations' classes in `labels.csv`: one file to read, and a mistake in one of them shows now."""
    path, folder = dataset.root / "labels.csv", dataset.root / "Annotations"
    ids = [i for split in dataset.splits if split != "test" for i in dataset.ids(split)]
    if not path.is_file():
        check_files("annotations", (folder / f"{i}.xml" for i in dict.fromkeys(ids)), partial=partial)
        names = {}
        for file in tqdm(sorted(folder.glob("*.xml")), desc="labels", unit="img", mininterval=0.5):
            if name_fault(file.stem):  # what a file manager left
                continue
            if found := dataset.class_names(file.stem):  # test images have annotations without objects
                names[file.stem] = sorted(found, key=VOC_CLASSES.index)
        write_labels(path, names)
        dataset = open_dataset(dataset.root)
    try:
        for image_id in ids:
            dataset.class_names(image_id)
    except UserError as error:
        raise UserError(
            f"{error} Complete {folder}, then delete {path} to have it made from the annotations again."
        ) from error


def _check_masks(dataset: Dataset, *, partial: bool, workers: int) -> None:
    """Read every mask once: of its image's size, of known classes, and, as all of VOC's and SBD's, of one at least."""
    ids = dict.fromkeys(i for split in dataset.splits if split != "test" for i in dataset.ids(split))
    bare = replace(dataset, _labels=None)  # it goes to other processes with every job
    jobs = [(bare, image_id) for image_id in ids if dataset.mask_path(image_id).is_file()]
    workers = min(workers or os.cpu_count() or 1, max(1, len(jobs) // _MASKS_A_WORKER))
    found = tqdm(in_processes(_look_at_mask, jobs, workers), total=len(jobs), desc="masks", unit="img", mininterval=0.5)
    damaged, empty = (sorted(filter(None, faults)) for faults in zip(*found, strict=True)) if jobs else ([], [])
    if faults := damaged or ([] if partial else empty):
        more = f"\n... and {len(faults) - 5} more." if len(faults) > 5 else ""
        raise UserError(
            f"{len(faults)} of {len(jobs)} masks cannot be used. Unpack VOC's archive again, or delete those that were "
            f"made of SBD's, in {_AUG}, to have them made again.\n" + "\n".join(faults[:5]) + more
        )
    if empty:
        print(f"note: {len(empty):,} masks show no class, such as {empty[0]}")


def _look_at_mask(job: tuple[Dataset, str]) -> tuple[str, str]:
    """Return what is wrong with a mask, and whether it shows nothing; each empty if all is well."""
    dataset, image_id = job
    try:
        shown = shown_classes(dataset.mask(image_id))
    except UserError as error:
        return str(error), ""
    return "", "" if shown else f"{dataset.mask_path(image_id)} shows background alone."


def _add_masks(
    folder: Path, root: Path, sbd: str | Path, *, download: bool, partial: bool, workers: int, expected: int
) -> None:
    dataset = open_dataset(folder)
    listing, done = folder / _LISTS / "train_aug.txt", folder / _AUG
    own = _own(dataset)
    if listing.is_file() and done.is_dir():
        ids = dataset.ids("train_aug")
        if all((done / f"{i}.png").is_file() for i in (*own, *ids)):
            check_count(f"{listing}", len(ids), expected, partial=partial)
            return
    source = sbd_folder(folder, root, sbd)
    if download and (source is None or not sbd_whole(source)):
        _fetch_sbd(user_path(sbd) if sbd else root)
        source = sbd_folder(folder, root, sbd)
    if source is None:
        if partial:
            print("note: SBD is not there; the split train_aug is left out.")
            return
        raise UserError(
            f"SBD's masks are needed for train_aug and were not found in {sbd or root}. Unpack benchmark.tgz there, "
            "name its folder with --sbd, or add --download."
        )
    extra = {i for name in ("train", "val") for i in sbd_ids(source / f"{name}.txt")}
    val = set(dataset.ids("val")) if "val" in dataset.splits else set()
    ids = sorted((extra | set(own)) - val)
    check_count("train_aug (SBD and VOC's train, without VOC's val)", len(ids), expected, partial=partial)
    images = {i: folder / f"JPEGImages/{i}.jpg" for i in ids}
    check_files("images of train_aug", images.values(), partial=partial)
    ids = [i for i in ids if images[i].is_file()]

    # A name of its own while it is not whole: open_dataset would take it for the masks of every image.
    work = done if done.is_dir() else folder / f".{_AUG}.partial"
    jobs = []
    for image_id in dict.fromkeys((*own, *ids)):
        mask = folder / f"SegmentationClass/{image_id}.png"
        if mask.is_file():
            link(work / mask.name, mask)
        elif image_id in images and not (work / mask.name).is_file():
            jobs.append((source / f"cls/{image_id}.mat", images[image_id], work / mask.name))
    convert(convert_mask, jobs, workers=workers, title="SBD's masks")
    if work.is_dir() and work != done:
        os.replace(work, done)
    write_list(listing, ids)
