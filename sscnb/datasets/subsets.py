"""Named parts of a data set whose ids the package lists, so that who has the whole can repeat a figure of a part."""

import os
import shutil
from pathlib import Path

from sscnb.errors import UserError, nearest

_LISTS = Path(__file__).parent / "subset_lists"
_PARTS = ("JPEGImages", "Annotations", "SegmentationClass", "SegmentationClassAug", "labels.csv", "classes.txt")


def subset_splits(name: str) -> dict[str, list[str]]:
    """Return the ids of each split of a named part.

    "voc_animals": the photographs of VOC 2012 (and of SBD's extension) all of whose labels are among cat, chair, cow,
    dog, horse, person, sheep and sofa, rarer classes first: train 398 (of VOC's own), train_aug 1,000 (those and 602
    of SBD), val 211 (every second one of VOC's).

    Raises:
        UserError: there is no such part.
    """
    names = sorted(path.name for path in _LISTS.iterdir() if path.is_dir())
    if name not in names:
        raise UserError(f"there is no part {name!r} of a data set; {nearest(name, names)}")
    return {path.stem: path.read_text(encoding="utf-8").split() for path in sorted((_LISTS / name).glob("*.txt"))}


def link_subset(root: Path, folder: Path, name: str) -> None:
    """Make `folder` a VOC-layout folder of a named part: links to what is in `root`, and lists of its own.

    Args:
        root: a VOC-layout folder that holds the part, such as the whole of VOC 2012.
        folder: takes the place of what is there.

    Raises:
        UserError: there is no such part, or photographs of it are missing in `root`.
    """
    splits = subset_splits(name)
    ids = list(dict.fromkeys(image_id for listed in splits.values() for image_id in listed))
    there = {path.rsplit(".", 1)[0] for path in os.listdir(root / "JPEGImages")}
    if lacking := [image_id for image_id in ids if image_id not in there]:
        raise UserError(
            f"{root / 'JPEGImages'} lacks {len(lacking):,} of the {len(ids):,} photographs of {name!r}, such as "
            f"{lacking[0]}.jpg. Give the folder of the whole VOC 2012, or of this part of it."
        )
    making = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    lists = making / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for part in _PARTS:
        if (root / part).exists():
            (making / part).symlink_to(root / part)
    for split, listed in splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{image_id}\n" for image_id in listed), encoding="utf-8")
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(making, folder)
