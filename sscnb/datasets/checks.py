"""Look at every file of a data set once, before anything is trained on it."""

import difflib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sscnb.datasets.damage import jpeg_damage
from sscnb.datasets.folder import IGNORE, Dataset, shown_classes
from sscnb.datasets.images import SUFFIXES, read_image
from sscnb.errors import UserError, refusal

# Shares of the masks. Labels and masks of a good data set may disagree on a few images, being drawn by other people;
# where more show what the labels deny, the masks mean other classes than classes.txt.
MOST_DENIED = 0.05
# A mask may well show nothing: COCO's crowds are labels, and 255 in the mask.
MOST_EMPTY = 0.5
FEW = 0.2  # of the images that a class of nearly the same name has: so few may be a slip of the pen


def misspelt(images: Mapping[str, int]) -> list[str]:
    """Return a sentence for each class that may be another one's name with a slip in it.

    Args:
        images: how many show each class.

    Example:
        >>> misspelt({"cow": 9, "cowe": 1, "sheep": 10})
        ["class 'cowe' has 1 image and 'cow' has 9: is it the same class? Look at its labels."]
    """
    doubts = []
    for name, count in images.items():
        others = [other for other, number in images.items() if 0 < count <= FEW * number]
        for other in difflib.get_close_matches(name, others, n=1, cutoff=0.8):
            plural = "" if count == 1 else "s"
            doubts.append(
                f"class {name!r} has {count} image{plural} and {other!r} has {images[other]}: is it the same class? "
                "Look at its labels."
            )
    return doubts


@dataclass(frozen=True)
class Look:
    """What was seen of one image: its fault, or nothing; of its mask, if there is one, in which way it contradicts."""

    fault: str = ""
    masked: bool = False
    denied: str = ""
    empty: str = ""


def check_images(dataset: Dataset, ids: Iterable[str], *, masks: bool = False, workers: int = 4) -> None:
    """Decode every image (and the mask of those that have one) and resolve its labels; report all faults at once.

    Masks that contradict the image-level labels are named: in a note where they are few, and refused where they are
    more than `MOST_DENIED`, or those that show no class at all more than `MOST_EMPTY`.

    Raises:
        UserError: naming up to five faulty files and how many more there are.
    """
    ids = list(ids)
    with ThreadPoolExecutor(workers) as pool:
        looking = pool.map(lambda image_id: _look(dataset, image_id, masks), ids)
        looks = list(tqdm(looking, total=len(ids), desc="checking files", unit="img", mininterval=0.5))
    if faults := [look.fault for look in looks if look.fault]:
        raise UserError(f"{dataset.root}: {len(faults)} of {len(ids)} images cannot be used.\n{_some(faults)}")
    masked = sum(look.masked for look in looks)
    order = "Check classes.txt: its line k names index k of the masks."
    for faults, most, cure in (
        ([look.denied for look in looks if look.denied], MOST_DENIED, order),
        ([look.empty for look in looks if look.empty], MOST_EMPTY, _values(dataset)),
    ):
        if len(faults) > most * masked:
            raise UserError(
                f"{dataset.root}: {len(faults)} of {masked} masks contradict the image-level labels. {cure}\n"
                f"{_some(faults)}"
            )
        if faults:
            tqdm.write(f"note: {len(faults)} of {masked} masks contradict the image-level labels.\n{_some(faults)}")


def _look(dataset: Dataset, image_id: str, masks: bool) -> Look:
    try:
        path = dataset.image_path(image_id)
        twins = [other for suffix in SUFFIXES if (other := path.with_suffix(suffix)).is_file() and other != path]
        if twins := [other for other in twins if not other.samefile(path)]:  # one file where case does not count
            return Look(f"image {path} has another of its id beside it, {twins[0].name}. Rename one of them.")
        read_image(path)
        content = path.read_bytes()
        if content.startswith(b"\xff\xd8") and (damage := jpeg_damage(content)):
            return Look(f"image {path} is damaged ({damage}). Replace the file or take its id out of the split.")
        labels = set(dataset.class_names(image_id))
        if not masks:
            return Look()
        if not (mask := dataset.mask_path(image_id)).is_file():
            return Look(f"mask {mask} is no file. Replace or remove it." if os.path.lexists(mask) else "")
        return _compare(dataset, image_id, labels)
    except UserError as error:
        return Look(str(error))
    except OSError as error:
        return Look(refusal(error))


def _compare(dataset: Dataset, image_id: str, labels: set[str]) -> Look:
    path, mask = dataset.mask_path(image_id), dataset.mask(image_id)
    shown = {dataset.classes[index - 1] for index in shown_classes(mask)}
    if denied := sorted(shown - labels):
        return Look(masked=True, denied=f"mask {path} shows {denied[0]!r}, which is no label of its image.")
    if labels and not shown:
        values = ", ".join(str(v) for v in np.unique(mask))
        return Look(
            masked=True, empty=f"mask {path} shows none of {', '.join(sorted(labels))}: it holds {values} alone."
        )
    return Look(masked=True)


def _values(dataset: Dataset) -> str:
    """Say what masks of 0 and 255, as annotation tools write them, need."""
    classes = dataset.classes
    cure = f"A mask holds 0 for the background, 1 for {classes[0]!r}"
    cure += f" up to {len(classes)} for {classes[-1]!r}" if len(classes) > 1 else ""
    cure += f", and {IGNORE} for pixels that are not counted."
    return cure + (f" Divide masks of 0 and {IGNORE} by {IGNORE}." if len(classes) == 1 else "")


def _some(faults: list[str]) -> str:
    return "\n".join(faults[:5]) + (f"\n... and {len(faults) - 5} more." if len(faults) > 5 else "")
