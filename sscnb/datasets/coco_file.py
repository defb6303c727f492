"""COCO's instances files, read and checked: what `coco` takes from them is there, of its type, and fits together."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sscnb.datasets.images import MAX_PIXELS, SUFFIXES
from sscnb.datasets.names import check_classes, name_fault
from sscnb.errors import UserError, refusal

Entry = dict[str, Any]


@dataclass(frozen=True)
class Instances:
    """The part of a file that makes a data set; `categories` by number, `annotations` in the order of theirs."""

    images: list[Entry]
    categories: dict[int, str]
    annotations: list[Entry]


def read_instances(path: Path) -> Instances:
    """Read an instances file; of its entries the keys that are used are checked, others may be there.

    Raises:
        UserError: it is missing, no JSON, or an entry is not as COCO's format has it; names the first such entry.
    """
    content = _read(path)
    images, listed, annotations = (content[key] for key in ("images", "categories", "annotations"))
    try:
        _check_images(images)
        _check_all(listed, "category", {"id": _number, "name": _text})
        categories = {entry["id"]: entry["name"] for entry in sorted(listed, key=lambda entry: entry["id"])}
        check_classes(list(categories.values()), str(path))
        numbers = {image["id"] for image in images}
        _check_all(
            annotations,
            "annotation",
            {
                "id": _number,
                "image_id": lambda value: _number(value) or ("" if value in numbers else "no image has that id"),
                "category_id": lambda v: _number(v) or ("" if v in categories else "no category has that id"),
                "iscrowd": lambda value: "" if type(value) is int and value in (0, 1) else "expected 0 or 1",
                "segmentation": lambda v: "" if isinstance(v, list | dict) else "expected polygons or run lengths",
            },
        )
    except ValueError as error:
        raise UserError(f"{path} is no COCO instances file as released: {error}. Unpack it again.") from error
    return Instances(images, categories, sorted(annotations, key=lambda entry: entry["id"]))


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        with path.open(encoding="utf-8") as file:
            content = json.load(file)
        for key in ("images", "categories", "annotations"):
            if not isinstance(content, dict) or not isinstance(content.get(key), list):
                raise ValueError(f"expected an object with the list {key!r}")
        return content
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing. Unpack annotations_trainval2014.zip into the folder.") from error
    except OSError as error:
        raise UserError(f"cannot read {refusal(error, str(path))}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no COCO instances file ({error}). Unpack it again.") from error


def _check_images(images: list[Any]) -> None:
    _check_all(images, "image", {"id": _number, "file_name": _file_name, "height": _side, "width": _side})
    stems: dict[str, int] = {}
    for image in images:
        if image["height"] * image["width"] > MAX_PIXELS:
            raise ValueError(f"image {image['id']} has more than {MAX_PIXELS // 1_000_000} million pixels")
        stem = Path(image["file_name"]).stem
        if stems.setdefault(stem, image["id"]) != image["id"]:
            raise ValueError(f"images {stems[stem]} and {image['id']} have one file, {image['file_name']!r}")


def _check_all(entries: list[Any], kind: str, checks: dict[str, Callable[[Any], str]]) -> None:
    """Raise ValueError for the first entry that lacks a key, has an improper value, or the id of another."""
    seen = set()
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{kind} {place} in the list is {_short(entry)}, no object")
        for key, check in checks.items():
            if key not in entry:
                raise ValueError(f"{kind} {_short(entry.get('id', place))} has no {key!r}")
            if fault := check(entry[key]):
                raise ValueError(f"{kind} {_short(entry.get('id', place))} has {key} {_short(entry[key])}: {fault}")
        if entry["id"] in seen:
            raise ValueError(f"two entries are {kind} {entry['id']}")
        seen.add(entry["id"])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: Any) -> str:
    return "" if type(value) is int else "expected a whole number"


def _side(value: Any) -> str:
    return "" if type(value) is int and value > 0 else "expected a whole number above 0"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else "expected a text"


def _file_name(value: Any) -> str:
    if not isinstance(value, str):
        return "expected a text"
    if fault := name_fault(value):
        return f"as a file name, it {fault}"
    path = Path(value)
    return "" if path.suffix in SUFFIXES else f"expected a name that ends in {', '.join(SUFFIXES[:3])}"
