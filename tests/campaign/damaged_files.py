"""Damage to every kind of file that a run writes; the run goes on from there to the values of an undisturbed one."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from campaign.judge import Case
from campaign.world import remove, scenes_words
from PIL import Image

CAM, IRN = "cam/ssc/seed0", "irn/ssc/seed0/none"
NET = "segmentation/efficientnet_lite0/ssc/seed0"
# Each kind of file, and which stages' folders or results go with it, so that somebody has to read the file.
CHECKPOINTS = {
    f"{CAM}/checkpoint.pt": (f"{CAM}/cams",),
    f"{IRN}/checkpoint.pt": (f"{IRN}/pseudo_masks", f"{IRN}/walks", f"{IRN}/confidence"),
    f"{NET}/checkpoint.pt": (f"{NET}/predictions",),
}
ARRAYS = {
    f"{CAM}/cams/train_0001.npz": (f"{CAM}/seeds",),
    f"{CAM}/cams/train_0002.npz": (f"{IRN}/ir_labels",),
    f"{CAM}/cams/val_0001.npz": (f"{CAM}/seeds",),
    f"{IRN}/walks/train_0003.npz": (f"{IRN}/evaluation",),
}
MASKS = {
    "superpixels/train_0001.png": (CAM,),
    f"{IRN}/ir_labels/train_0000.png": (f"{IRN}/results.json", f"{IRN}/checkpoint.pt"),
    f"{IRN}/pseudo_masks/train_0004.png": (NET,),
    f"{IRN}/pseudo_masks/train_0001.png": (f"{IRN}/evaluation",),
    f"{NET}/predictions/val_0001.png": (f"{NET}/evaluation",),
    f"{NET}/predictions_train/train_0005.png": (f"{NET}/evaluation_train",),
}
RECORDS = {  # JSON
    "run.json": (),
    "reproduce.json": (),
    "data/settings.json": (),
    "data/results.json": (),
    "data/files.json": (),
    "data/masks_train.json": (f"{CAM}/seeds",),
    "superpixels/settings.json": (),
    "superpixels/results.json": (),
    "superpixels/superpixels.json": ("superpixels/results.json",),
    f"{CAM}/settings.json": (),
    f"{CAM}/results.json": (),
    f"{CAM}/cams/settings.json": (),
    f"{CAM}/cams/results.json": (),
    f"{CAM}/seeds/settings.json": (),
    f"{CAM}/seeds/results.json": (),
    f"{IRN}/ir_labels/settings.json": (),
    f"{IRN}/settings.json": (),
    f"{IRN}/results.json": (),
    f"{IRN}/pseudo_masks/settings.json": (),
    f"{IRN}/evaluation/results.json": (),
    f"{NET}/settings.json": (),
    f"{NET}/results.json": (),
    f"{NET}/predictions/settings.json": (),
    f"{NET}/evaluation/results.json": (),
    f"{NET}/evaluation_train/results.json": (),
}
DATA = ("labels.csv", "classes.txt", "rules.json", "grounds.csv", "ImageSets/Segmentation/train.txt")
DATA += ("JPEGImages/train_0003.jpg", "SegmentationClass/train_0002.png", "SegmentationClass/val_0001.png")
FOLDERS = ("dataset", "dataset/JPEGImages", "dataset/SegmentationClass", "dataset/ImageSets", "data", "superpixels")
FOLDERS += (CAM, f"{CAM}/cams", f"{CAM}/seeds", "cam", IRN, f"{IRN}/ir_labels", f"{IRN}/pseudo_masks", f"{IRN}/walks")
FOLDERS += (f"{IRN}/confidence", f"{IRN}/evaluation", "irn", NET, f"{NET}/predictions", "segmentation")
SHAPES = ("null", "[]", "{}", "7", '"text"', "[[]]", '{"hash": 3}', '{"rows": null}', '{"rows": [3]}', "NaN")
SHAPES += ('{"preset": 3}', '{"settings": []}', '{"rows": [{}]}', '{"overrides": []}', '{"files": 3, "rows": []}')
SHAPES += (
    '{"rows": [], "files": {"../../canary.txt": 1, "/etc/passwd": 1}}',
    '{"hash": "x", "settings": null}',
    "[" * 5000,
)


def _rewritten(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def empty(path: Path) -> None:
    _rewritten(path, b"")


def half(path: Path) -> None:
    content = path.read_bytes()
    _rewritten(path, content[: len(content) // 2])


def middle(path: Path) -> None:
    """64 bytes are others, as after a bad sector."""
    content = bytearray(path.read_bytes())
    start, length = len(content) // 2, min(64, len(content) // 4)
    content[start : start + length] = bytes(255 - byte for byte in content[start : start + length])
    _rewritten(path, bytes(content))


def noise(path: Path) -> None:
    _rewritten(path, np.random.default_rng(0).bytes(path.stat().st_size))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("something")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def utf16(path: Path) -> None:
    _rewritten(path, path.read_text().encode("utf-16"))


def not_finite(path: Path) -> None:
    """A value of the network is NaN."""
    content = torch.load(path, weights_only=True)
    value = next(value for value in content["model"].values() if value.is_floating_point())
    value[(0,) * value.dim()] = float("nan")
    path.unlink()
    torch.save(content, path)


def other_keys(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    path.unlink()
    torch.save({"config": content["config"], "model": {"other": torch.zeros(3)}, "history": []}, path)


def no_dict(path: Path) -> None:
    path.unlink()
    torch.save([1, 2, 3], path)


def model_of_texts(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    path.unlink()
    torch.save(content | {"model": {"a": "text"}}, path)


def other_arrays(path: Path) -> None:
    path.unlink()
    np.savez(path, other=np.zeros(3))


def arrays_of_other_shape(path: Path) -> None:
    """The right names, and shapes that do not belong together."""
    with np.load(path) as stored:
        names = list(stored)
    path.unlink()
    np.savez_compressed(path, **{name: np.zeros((2, 5), np.float32) for name in names})


def arrays_not_finite(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    path.unlink()
    np.savez_compressed(path, **{n: a * np.float32("nan") if a.dtype.kind == "f" else a for n, a in arrays.items()})


def small_picture(path: Path) -> None:
    path.unlink()
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(path)


def jpeg_picture(path: Path) -> None:
    path.unlink()
    Image.new("RGB", (48, 48)).save(path, format="JPEG")


def white_picture(path: Path) -> None:
    """A picture of the right size whose values mean nothing."""
    with Image.open(path) as picture:
        size = picture.size
    path.unlink()
    Image.fromarray(np.full(size[::-1], 200, np.uint8)).save(path)


COMMON = (remove, empty, half, middle, noise, folder, loop, dangling, pipe)
Damage = Callable[[Path], None]


def _arranged(name: str, damage: Damage, gone: tuple[str, ...], place: Path) -> list[str]:
    run = place / "run"
    for other in gone:
        remove(run / other)
    damage(run / name)
    return scenes_words(run)


def _shaped(name: str, content: str, gone: tuple[str, ...], place: Path) -> list[str]:
    return _arranged(name, lambda path: _rewritten(path, content.encode()), gone, place)


def _case(kind: str, name: str, damage: Damage, gone: tuple[str, ...] = ()) -> Case:
    writes = ("run", "another")
    arrange = partial(_arranged, name, damage, gone)
    return Case(kind, f"{name} {damage.__name__}", arrange, "same", ("run",), writes)


def cases() -> Iterator[Case]:
    """Every damage to every kind of file."""
    for name, gone in CHECKPOINTS.items():
        for damage in (*COMMON, not_finite, other_keys, no_dict, model_of_texts):
            yield _case("damaged checkpoint", name, damage, gone)
    for name, gone in ARRAYS.items():
        for damage in (*COMMON, other_arrays, arrays_of_other_shape, arrays_not_finite):
            yield _case("damaged arrays", name, damage, gone)
    for name, gone in MASKS.items():
        for damage in (*COMMON, small_picture, jpeg_picture, white_picture):
            yield _case("damaged picture", name, damage, gone)
    for number, (name, gone) in enumerate(RECORDS.items()):
        for damage in (*COMMON, utf16)[number % 3 :: 3]:
            yield _case("damaged record", name, damage, gone)
        for content in SHAPES[number % 6 :: 6]:
            arrange = partial(_shaped, name, content, gone)
            yield Case("JSON of another shape", f"{name} {content[:40]}", arrange, "same", ("run",), ("run", "another"))
    for number, name in enumerate(DATA):
        for damage in COMMON[number % 2 :: 2]:
            yield _case("damaged scenes", f"dataset/{name}", damage)
    for name in FOLDERS:
        yield _case("deleted folder", name, remove)


def sampled() -> Iterator[Case]:
    """A part of them for every day: one damage of each sort, each kind of file once."""
    chosen = {
        "damaged checkpoint": {f"{CAM}/checkpoint.pt middle", f"{NET}/checkpoint.pt not_finite"},
        "damaged arrays": {f"{CAM}/cams/train_0001.npz half"},
        "damaged picture": {f"{NET}/predictions/val_0001.png remove", f"{IRN}/pseudo_masks/train_0001.png noise"},
        "damaged record": {f"{CAM}/settings.json remove", f"{IRN}/results.json empty", "run.json half"},
        "JSON of another shape": {f"{NET}/results.json []", "run.json null", "run.json {}", "run.json []"},
        "damaged scenes": {"dataset/labels.csv half"},
        "deleted folder": {"dataset remove", f"{CAM}/cams remove"},
    }
    return (case for case in cases() if case.name in chosen.get(case.kind, ()))
