"""What several tests share.

The suite runs small networks: more threads than one make it slower, and its figures less repeatable.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CLASSES = ("disc", "square")
CRF = "dense" if importlib.util.find_spec("pydensecrf") else "none"


def reproduce(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Run `python -m sscnb reproduce --preset tiny` into `folder/run` and `folder/build`."""
    command = [sys.executable, "-m", "sscnb", "reproduce", "--preset", "tiny", "--run-dir", str(folder / "run")]
    command += ["--build-dir", str(folder / "build"), *options]
    command += ["--overrides", json.dumps({"irn.crf": CRF})]  # as `make book` does
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=900)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several test processes one takes all that looks at the book, at once, and each other file is one process's."""
    looks = {item: not {"book", "html"}.isdisjoint(getattr(item, "fixturenames", ())) for item in items}
    items.sort(key=lambda item: not looks[item])
    for item in items:
        item.add_marker(pytest.mark.xdist_group("book" if looks[item] else str(item.path)))


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The whole chain at preset tiny with its book: minutes, so that tests share it and leave it as it is."""
    folder = tmp_path_factory.mktemp("reproduce")
    done = reproduce(folder, "--book")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder, done


def make_photographs(root: Path, *, count: int = 6, suffix: str = ".jpg", masks: bool = True) -> Path:
    """Write a VOC-layout folder as a user would: odd sizes, classes.txt, labels.csv, splits train and val."""
    rng = np.random.default_rng(0)
    for part in ("JPEGImages", "ImageSets/Segmentation", *(["SegmentationClass"] if masks else [])):
        (root / part).mkdir(parents=True)
    ids, rows = [f"{n:03d}" for n in range(count)], ["id,classes"]
    for n, image_id in enumerate(ids):
        height, width = 48 + 8 * (n % 3), 64
        y, x = np.mgrid[:height, :width]
        mask = np.zeros((height, width), np.uint8)
        if n % 3 != 1:
            mask[(x - 20) ** 2 + (y - 20) ** 2 < 100] = 1
        if n % 3 != 0:
            mask[15:35, 40:58] = 2
        colours = np.array([[90, 120, 90], [220, 60, 50], [60, 70, 220]])
        image = (colours[mask] + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "JPEGImages" / (image_id + suffix))
        if masks:
            Image.fromarray(mask).save(root / "SegmentationClass" / f"{image_id}.png")
        rows.append(f"{image_id},{';'.join(CLASSES[k - 1] for k in (1, 2) if (mask == k).any())}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(ids[:-2]) + "\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(ids[-2:]) + "\n")
    return root


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A small VOC-layout folder of JPEGs with masks, labels.csv and classes.txt."""
    return make_photographs(tmp_path / "photographs")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its bytes, to tell that nothing of it was touched.

    Locks, and what is remembered of files that were looked at, say nothing of results.
    """
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if not p.match("data/masks_*.json")}
