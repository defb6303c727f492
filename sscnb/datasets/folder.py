"""The one data format: a VOC-layout folder.

    JPEGImages/<id>.jpg   SegmentationClass/<id>.png (optional)   ImageSets/Segmentation/<split>.txt
    labels.csv (`id,classes`, classes joined by ;) or Annotations/<id>.xml   classes.txt (absent: VOC's 20)

Photographs of one's own need less: images, in the folder itself or in JPEGImages/, and labels.csv. Without ImageSets,
the images of labels.csv are the split `train`, the only one; without classes.txt and masks, the classes are the names
in labels.csv, in alphabetical order.

Image-level labels never come from masks. Masks are read by `mask` alone, which evaluation calls and training does not.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from sscnb.datasets.images import SUFFIXES, image_size, read_image, read_mask
from sscnb.datasets.lists import read_classes, read_ids, read_labels
from sscnb.datasets.names import check_classes, check_name
from sscnb.errors import UserError, nearest, refusal
from sscnb.files import user_path

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
IGNORE = 255


@dataclass(frozen=True)
class Dataset:
    """A VOC-layout folder, read lazily. Ids are strings, class indices 1..C, background 0."""

    root: Path
    classes: tuple[str, ...]
    mask_folder: str = "SegmentationClass"
    image_folder: str = "JPEGImages"
    _labels: dict[str, tuple[str, ...]] | None = field(default=None, repr=False)

    @property
    def splits(self) -> list[str]:
        """Names of the splits that the folder has."""
        if self._without_lists:
            return ["train"]
        return sorted(p.stem for p in (self.root / "ImageSets/Segmentation").glob("*.txt"))

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split in the order of its file.

        Raises:
            UserError: no such split, an empty one, an id that stands in it twice, or a line that is no id.
        """
        check_name(split, "name of a split")
        if self._without_lists and split == "train":
            path, ids = self.root / "labels.csv", list(self._labels or ())
        else:
            path = self.root / "ImageSets/Segmentation" / f"{split}.txt"
            if not path.is_file():
                raise UserError(
                    f"{self.root} has no split {split!r} ({path} is missing); {nearest(split, self.splits)}"
                )
            ids = read_ids(path)
        if not ids:
            raise UserError(f"split {path} is empty; expected one image id a line.")
        return ids

    def image_path(self, image_id: str) -> Path:
        """Return the path of an image.

        Raises:
            UserError: there is no such image.
        """
        for suffix in SUFFIXES:
            path = self.root / self.image_folder / (image_id + suffix)
            if path.is_file():
                return path
        source = "labels.csv" if self._without_lists else "the split"
        spaces = " Spaces are part of an id: a line of a split is one id and nothing else." if " " in image_id else ""
        raise UserError(
            f"{(self.root / self.image_folder).resolve()} has no image for id {image_id!r} (expected {image_id}.jpg, "
            ".jpeg, .png or .webp). "
            f"Add the file or take the id out of {source}; an id is a file's name without its suffix." + spaces
        )

    def image(self, image_id: str) -> np.ndarray:
        """Return an image as H,W,3 uint8 RGB."""
        return read_image(self.image_path(image_id))

    def mask_path(self, image_id: str) -> Path:
        """Return where an image's mask is expected."""
        return self.root / self.mask_folder / f"{image_id}.png"

    def has_masks(self, split: str) -> bool:
        """Tell whether every image of a split has a mask file."""
        return all(self.mask_path(i).is_file() for i in self.ids(split))

    def mask(self, image_id: str) -> np.ndarray:
        """Return the true mask, H,W uint8 in {0, 1..C, 255}. For evaluation only.

        Raises:
            UserError: the mask is missing, of another size than the image, or holds an index without a class.
        """
        return self.mask_at(self.mask_path(image_id), image_id)

    def mask_at(self, path: Path, image_id: str) -> np.ndarray:
        """Return another mask of an image, such as a pseudo-mask or a prediction, as `mask` does.

        Raises:
            UserError: as of `mask`.
        """
        mask = read_mask(path)
        expected = image_size(self.image_path(image_id))
        if mask.shape != expected:
            raise UserError(
                f"mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, its image {expected[1]}x{expected[0]}. "
                "They must be of one size."
            )
        if extra := [index for index in shown_classes(mask) if index > len(self.classes)]:
            raise UserError(
                f"mask {path} holds index {extra[0]}, but there are {len(self.classes)} classes "
                f"(indices 0 to {len(self.classes)}, {IGNORE} is ignored). Check classes.txt."
            )
        return mask

    def class_names(self, image_id: str) -> tuple[str, ...]:
        """Return the names of the classes an image is labelled with.

        Raises:
            UserError: the image has no label, or one with a name that is not a class.
        """
        if self._labels is not None:
            source = self.root / "labels.csv"
            if image_id not in self._labels:
                raise UserError(f"{source} has no row for id {image_id!r}.")
            names = self._labels[image_id]
        else:
            source = self.root / "Annotations" / f"{image_id}.xml"
            if source.exists() and not source.is_file():  # a pipe would be waited for
                raise UserError(f"annotation {source} is no file. Move it away, and put the annotation there.")
            try:
                objects = ElementTree.parse(source).getroot().findall("object")
            except FileNotFoundError as error:
                raise UserError(
                    f"there are no image-level labels for id {image_id!r}: neither {self.root / 'labels.csv'} "
                    f"nor {source} exists."
                ) from error
            except OSError as error:
                raise UserError(f"cannot read annotation {refusal(error, str(source))}") from error
            except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two of odd encodings
                raise UserError(f"annotation {source} is not readable as XML ({error}).") from error
            names = tuple(dict.fromkeys((o.findtext("name") or "").strip() for o in objects))
        for name in names:
            if name not in self._index:
                raise UserError(
                    f"{source}: unknown class {name!r} for id {image_id!r}; {nearest(name, list(self.classes))}"
                )
        return names

    def labels(self, image_id: str) -> np.ndarray:
        """Return the image-level labels, C float32 in {0, 1}; entry c belongs to class index c + 1."""
        labels = np.zeros(len(self.classes), dtype=np.float32)
        labels[[self._index[name] for name in self.class_names(image_id)]] = 1
        return labels

    @cached_property
    def _without_lists(self) -> bool:
        return not (self.root / "ImageSets/Segmentation").is_dir()

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}


def open_dataset(root: str | Path) -> Dataset:
    """Open a VOC-layout folder; files of single images are read when they are asked for.

    Raises:
        UserError: a folder is missing, or `classes.txt` or `labels.csv` is malformed.
    """
    root = user_path(root)
    images = "JPEGImages" if (root / "JPEGImages").is_dir() or not _holds_images(root) else ""
    listed, labelled = (root / "ImageSets/Segmentation").is_dir(), (root / "labels.csv").exists()
    parts = {"JPEGImages/": not images or (root / images).is_dir(), "ImageSets/Segmentation/": listed or labelled}
    if missing := [part for part, there in parts.items() if not there]:
        raise UserError(
            f"{root} is no data set: {missing[0]} is missing. Expected images, in the folder itself or in JPEGImages/, "
            "and labels.csv (`id,classes`); or VOC's layout with ImageSets/Segmentation/<split>.txt and "
            "Annotations/*.xml."
        )
    labels = read_labels(root / "labels.csv") if labelled else None
    # SBD's extension of VOC stands beside the original masks, under the name that the field gives it.
    masks = "SegmentationClassAug" if (root / "SegmentationClassAug").is_dir() else "SegmentationClass"
    classes = VOC_CLASSES
    if (root / "classes.txt").exists():
        classes = read_classes(root / "classes.txt")
    elif labels is not None and not listed and not (root / masks).is_dir():
        names = sorted({name for names in labels.values() for name in names})
        classes = check_classes(names, str(root / "labels.csv"))
    return Dataset(root=root, classes=classes, mask_folder=masks, image_folder=images, _labels=labels)


def shown_classes(mask: np.ndarray) -> list[int]:
    """Return the class indices that a mask H,W uint8 shows, without 0 and 255."""
    return [int(v) for v in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)) if v not in (0, IGNORE)]


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix in SUFFIXES for path in folder.iterdir())
