"""COCO 2014 as a VOC-layout folder: links to the images, image-level labels, and masks for evaluation only.

Masks are drawn from the instances (Lin et al., ECCV 2014). Where objects overlap, the one with fewer pixels is in
front: COCO has no depth order, and what is inside another object's outline is more often before it than behind. Crowd
regions are 255 and lie below all objects. A class of a crowd region counts as an image-level label: the image shows it.
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sscnb.datasets.coco_file import Instances, read_instances
from sscnb.datasets.folder import IGNORE
from sscnb.datasets.images import image_size
from sscnb.datasets.palette import save_mask
from sscnb.datasets.preparation import check_count, check_files, convert, link, write_labels, write_list
from sscnb.datasets.regions import Region, draw_mask
from sscnb.errors import UserError
from sscnb.files import user_path

COUNTS = {"train": 82783, "val": 40504}
CLASSES = 80
Job = tuple[Path, Path, int, int, list[Region]]  # mask to write, its image, height, width, what to draw


def prepare_coco(
    root: str | Path,
    *,
    output: str | Path = "",
    partial: bool = False,
    workers: int = 0,
    expected: Mapping[str, int] = COUNTS,
    classes: int = CLASSES,
) -> Path:
    """Make a VOC-layout folder of COCO 2014 and return its path; what is there from an interrupted call is kept.

    Ids are COCO's file names. Images without any object are left out of `train` and stay in `val`. The lists and
    `labels.csv` are written last, so that a folder that is half made is not taken for a data set.

    Args:
        root: holds `annotations/instances_train2014.json`, `train2014/*.jpg` and the same of val.
        output: where to make it; empty: in `root` itself.
        partial: take what is there, with a note for each count or file that lacks.
        workers: processes that draw masks; 0 is one a core.
        expected: images of each split.
        classes: how many there are.

    Raises:
        UserError: pycocotools or files are missing, annotations are damaged, or a count is not the release's.
    """
    if importlib.util.find_spec("pycocotools") is None:
        raise UserError("masks of COCO need pycocotools: pip install '.[coco]'")
    root = Path(os.path.realpath(user_path(root)))
    folder = Path(os.path.realpath(user_path(output))) if output else root
    names: dict[int, str] = {}
    lists: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for split, count in expected.items():
        path = root / f"annotations/instances_{split}2014.json"
        if partial and not os.path.lexists(path):
            print(f"note: {path} is missing; no split {split}.")
            continue
        content = read_instances(path)
        found = content.categories
        check_count(f"images in {path.name}", len(content.images), count, partial=partial)
        check_count(f"classes in {path.name}", len(found), classes, partial=partial)
        if names and found != names:
            raise UserError(f"{path} names other classes than the split before it. Take both from one release.")
        names = found
        photographs = [root / f"{split}2014" / image["file_name"] for image in content.images]
        check_files(f"images of {split}", photographs, partial=partial)
        shown, jobs = _plan(content, [p for p in photographs if p.is_file()], folder)
        del content  # gigabytes
        _write_images(folder, jobs, split, workers)
        labels |= {image_id: [names[category] for category in own] for image_id, own in shown.items()}
        lists[split] = [image_id for image_id, own in shown.items() if own or split != "train"]
    if not lists:
        raise UserError(f"{root / 'annotations'} holds neither instances_train2014.json nor instances_val2014.json.")
    _write_lists(folder, list(names.values()), lists, labels)
    print(f"{folder}: {len(names)} classes; " + ", ".join(f"{split} {len(ids):,}" for split, ids in lists.items()))
    return folder


def _write_images(folder: Path, jobs: list[Job], split: str, workers: int) -> None:
    """Link the photographs of a split and draw the masks that are not there yet."""
    for photograph in tqdm([job[1] for job in jobs], desc=f"links {split}", unit="img", mininterval=0.5):
        link(folder / "JPEGImages" / photograph.name, photograph)
    jobs = [job for job in jobs if not job[0].is_file()]
    convert(_write_mask, jobs, workers=workers, title=f"masks {split}")


def _write_lists(folder: Path, names: list[str], lists: dict[str, list[str]], labels: dict[str, list[str]]) -> None:
    """Write what makes the folder a data set: classes, splits and labels."""
    write_list(folder / "classes.txt", names)
    for split, ids in lists.items():
        write_list(folder / f"ImageSets/Segmentation/{split}.txt", ids)
    write_labels(folder / "labels.csv", labels)


def _plan(content: Instances, photographs: list[Path], folder: Path) -> tuple[dict[str, list[int]], list[Job]]:
    """Return what each image shows, by id, in the order of the categories, and the job of its mask."""
    files = {photograph.name: photograph for photograph in photographs}
    indices = {category: number for number, category in enumerate(content.categories, start=1)}
    objects: dict[int, list[dict[str, Any]]] = {}
    for annotation in content.annotations:
        objects.setdefault(annotation["image_id"], []).append(annotation)
    shown, jobs = {}, []
    for image in content.images:
        if not (photograph := files.get(image["file_name"])):
            continue
        own = objects.get(image["id"], [])
        regions = [(IGNORE if o["iscrowd"] else indices[o["category_id"]], o["segmentation"]) for o in own]
        shown[photograph.stem] = sorted({o["category_id"] for o in own}, key=indices.__getitem__)
        mask = folder / f"SegmentationClass/{photograph.stem}.png"
        jobs.append((mask, photograph, image["height"], image["width"], regions))
    return shown, jobs


def _write_mask(job: Job) -> str:
    """Draw and write one mask; return what was wrong, or nothing."""
    target, photograph, height, width, regions = job
    try:
        if image_size(photograph) != (height, width):
            return f"{photograph} is not of the {width}x{height} pixels that its annotation says."
        mask = draw_mask(height, width, regions)
    except UserError as error:
        return str(error)
    except Exception as error:  # a malformed region, or what pycocotools makes of it
        return f"{photograph}: its annotation cannot be drawn ({error})."
    save_mask(target, mask)
    return ""
