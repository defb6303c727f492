"""COCO and VOC with SBD, in miniature and damaged, and what is handed to `data`."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from campaign import damaged_files as damage
from campaign.judge import Case
from campaign.world import remove
from datasets.test_coco import write_coco
from datasets.test_voc import write_sbd, write_voc
from scipy.io import savemat

_SHAPES = ("null", "[]", "{}", "7", '{"images": 3}', '{"images": [], "annotations": [], "categories": []}', "[" * 5000)
_SHAPES += ('{"images": [3], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "", "\x00", '{"images": NaN}')
_IMAGE: dict[str, tuple[Any, ...]] = {
    "file_name": ("../../x.jpg", "/etc/passwd", "../../canary.txt", "a/b.jpg", "", None, 7, ".jpg", "con.jpg", "x.exe",
                  "x" * 300 + ".jpg", "a\x00.jpg", ["x.jpg"], "COCO_train2014_000000000025.jpg"),
    "height": (0, -1, "20", None, 1.5, 10**9, 21),
    "width": (0, True, 10**9),
    "id": ("9", None, 25, 9.5, [9]),
}  # fmt: skip
_ANNOTATION: dict[str, tuple[Any, ...]] = {
    "image_id": ("9", None, 123456, [9], 9.0),
    "category_id": ("3", None, 4, {}),
    "iscrowd": (2, None, "0", True),
    "id": (None, "1", 895),
    "segmentation": (
        None, 7, "text", [[1, 2]], [["a"] * 6], [[float("nan")] * 6], [[1e30] * 6], [[-1e9, 0, 5, 5, 1e9, 9]], [3],
        {}, {"counts": [5], "size": [20, 30]}, {"counts": [600, 5], "size": [20, 30]}, {"counts": [-5, 605]},
        {"counts": [10**12], "size": [10**6, 10**6]}, {"counts": "zz", "size": [20, 30]}, {"counts": [600], "size": 3},
        {"counts": [600], "size": [30, 20]}, {"counts": [[600]], "size": [20, 30]},
        {"counts": [599.5], "size": [20, 30]},
        {"counts": "\u0000\u0001~~~~", "size": [20, 30]}, [[0, 0, 1, 1, 2, 2] * 50_000],
    ),
}  # fmt: skip
_EITHER = {
    ("segmentation", 3),
    ("segmentation", 7),
    ("segmentation", 20),
    ("id", 2),
    ("iscrowd", 3),
}  # odd and drawable, or no fault


def _coco(change: Callable[[Path], None], place: Path) -> list[str]:
    root = write_coco(place / "coco")
    change(root)
    return ["data", "coco", "--root", str(root), "--output", str(place / "output"), "--partial", "--workers", "1"]


def _annotations(content: str, root: Path) -> None:
    (root / "annotations/instances_train2014.json").write_text(content)


def _entry(part: str, key: str, value: Any, root: Path) -> None:
    path = root / "annotations/instances_train2014.json"
    content = json.loads(path.read_text())
    content[part][0][key] = value
    path.write_text(json.dumps(content))


def _lacking(part: str, key: str, root: Path) -> None:
    path = root / "annotations/instances_train2014.json"
    content = json.loads(path.read_text())
    del content[part][0][key]
    path.write_text(json.dumps(content))


def _in(name: str, change: Callable[[Path], None], root: Path) -> None:
    change(root / name)


def _coco_cases() -> Iterator[Case]:
    kind, writes = "COCO", ("output",)
    for content in _SHAPES:
        yield Case(kind, f"annotations {content[:40]!r}", partial(_coco, partial(_annotations, content)), writes=writes)
    for part, entries in (("images", _IMAGE), ("annotations", _ANNOTATION)):
        for key, values in entries.items():
            yield Case(kind, f"{part} no {key}", partial(_coco, partial(_lacking, part, key)), writes=writes)
            for number, value in enumerate(values):
                expect = "either" if part == "annotations" and (key, number) in _EITHER else "refused"
                change = partial(_entry, part, key, value)
                yield Case(kind, f"{part} {key} {str(value)[:40]!r}", partial(_coco, change), expect, writes=writes)
    for key, values in {"id": (None, "3", 3), "name": (None, 7, "", "car", "background", "a;b", "\x07")}.items():
        for value in values:
            arrange = partial(_coco, partial(_entry, "categories", key, value))
            yield Case(kind, f"categories {key} {value!r}", arrange, writes=writes)
    photograph = "train2014/COCO_train2014_000000000009.jpg"
    for name in (photograph, "annotations/instances_train2014.json"):
        for change in (damage.empty, damage.half, damage.noise, damage.folder, damage.loop, damage.pipe):
            # A photograph is linked and its head is read; the rest is for `run data` to look at.
            half = name == photograph and change in (damage.half, damage.folder, damage.loop, damage.pipe)
            arrange = partial(_coco, partial(_in, name, change))
            yield Case(kind, f"{name} {change.__name__}", arrange, "either" if half else "refused", writes=writes)
    for words in (("--root", "{place}/nothing"), ("--root", "{place}/canary.txt"), ("--output", "{place}/canary.txt"),
                  ("--output", "/proc/x"), ("--workers", "-1"), ("--root", "~nobody-here")):  # fmt: skip
        yield Case(kind, " ".join(words), partial(_worded, words, _coco), writes=writes)


def _worded(words: tuple[str, ...], base: Callable[..., list[str]], place: Path) -> list[str]:
    return [*base(lambda root: None, place), *(word.replace("{place}", str(place)) for word in words)]


def _voc(change: Callable[[Path], None], place: Path) -> list[str]:
    write_voc(place / "voc/VOCdevkit/VOC2012")
    write_sbd(place / "voc/benchmark_RELEASE/dataset")
    change(place / "voc")
    return ["data", "voc", "--root", str(place / "voc"), "--partial", "--workers", "1"]


def _appended(name: str, line: str, root: Path) -> None:
    with (root / name).open("a") as file:
        file.write(line + "\n")


def _mat(content: Any, root: Path) -> None:
    savemat(root / "benchmark_RELEASE/dataset/cls/2008_000001.mat", content)


def _voc_cases() -> Iterator[Case]:
    kind, writes = "VOC and SBD", ("voc",)
    devkit, sbd = "VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"
    for name in (f"{sbd}/train.txt", f"{sbd}/val.txt", f"{devkit}/ImageSets/Segmentation/train.txt"):
        for line in ("../../x", "/etc/passwd", "..", "a/b", "\x07", "x" * 300, "-rf", "2008_000001 1"):
            change = partial(_appended, name, line)
            expect = "either" if " " in line else "refused"  # such an image may be missing from a part of the release
            yield Case(kind, f"{name} {line[:20]!r}", partial(_voc, change), expect, writes=writes)
    mask = np.zeros((12, 16), np.uint8)
    for content in (
        {"GTcls": 3}, {"other": mask}, {"GTcls": {"Segmentation": "text"}}, {"GTcls": {"Segmentation": mask[:5]}},
        {"GTcls": {"Segmentation": mask + 21}}, {"GTcls": {"Segmentation": mask + 0.5}},
        {"GTcls": {"other": mask}},
        {"GTcls": {"Segmentation": np.zeros((12, 16, 3), np.uint8)}},
        {"GTcls": {"Segmentation": np.array([], np.uint8)}},
        {"GTcls": {"Segmentation": np.array(["a"], object)}}, {"GTcls": []},
        {"GTcls": {"Segmentation": np.full((12, 16), -1)}},
    ):  # fmt: skip
        yield Case(kind, f"mat {str(content)[:40]}", partial(_voc, partial(_mat, content)), writes=writes)
    for name, expect in (
        (f"{sbd}/cls/2008_000001.mat", "refused"), (f"{devkit}/Annotations/2007_000001.xml", "refused"),
        (f"{devkit}/SegmentationClass/2007_000001.png", "refused"), (f"{devkit}/JPEGImages/2008_000001.jpg", "either"),
        (f"{devkit}/ImageSets/Segmentation/train.txt", "refused"), (f"{sbd}/train.txt", "refused"),
    ):  # fmt: skip
        for change in (damage.empty, damage.half, damage.noise, damage.folder, damage.loop, damage.pipe, remove):
            kinder = expect == "either" or change not in (damage.empty, damage.noise) or name.endswith("train.txt")
            arrange = partial(_voc, partial(_in, name, change))
            yield Case(kind, f"{name} {change.__name__}", arrange, "either" if kinder else "refused", writes=writes)
    for words in (("--root", "{place}/nothing"), ("--root", "{place}/canary.txt"), ("--sbd", "{place}/nothing")):
        expect = "accepted" if words[0] == "--sbd" else "refused"  # --partial goes without
        yield Case(kind, " ".join(words), partial(_worded, words, _voc), expect, writes=writes)


def cases() -> Iterator[Case]:
    """Both releases."""
    yield from _coco_cases()
    yield from _voc_cases()


def sampled() -> Iterator[Case]:
    """Every 33rd."""
    return (case for number, case in enumerate(cases()) if number % 33 == 0)
