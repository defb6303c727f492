"""The embedded scenes: a generated VOC-layout folder in which the paper's phenomena happen and can be measured.

Toys stand in drawn places. Each class has a small part of its own on a body that another class shares,
so that an image-level label points at the part (Fig. 1b); the train keeps to its track, so that the track comes to mean
train (Fig. 8).
"""

import csv
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from sscnb.datasets.palette import save_mask
from sscnb.datasets.scenes.rendering import Scene, render_scene
from sscnb.datasets.scenes.rules import SPLITS, SceneConfig, describe_rules
from sscnb.errors import UserError, refusal
from sscnb.files import read_json, user_path

__all__ = [
    "Scene",
    "SceneConfig",
    "describe_rules",
    "render_scene",
    "scene_files",
    "scene_id",
    "write_scenes",
]

DRAWING = 1  # raised when the drawing changes, so that a folder made by an older one is not taken for the same


def scene_id(split: str, index: int) -> str:
    """Name a scene: its image, mask and row of labels."""
    return f"{split}_{index:04d}"


def scene_files(config: SceneConfig) -> list[str]:
    """Return the names of all files of the scenes' folder, from there on."""
    names = ["classes.txt", "labels.csv", "grounds.csv", "rules.json"]
    for split in SPLITS:
        names.append(f"ImageSets/Segmentation/{split}.txt")
        for index in range(getattr(config, split)):
            names += [f"JPEGImages/{scene_id(split, index)}.jpg", f"SegmentationClass/{scene_id(split, index)}.png"]
    return names


def write_scenes(root: str | os.PathLike, config: SceneConfig, *, progress: bool = True) -> Path:
    """Write the scenes as a VOC-layout folder and return its path; of one that these rules made only what is missing.

    Besides the layout's files it holds `rules.json`, what made it, and `grounds.csv`, the ground of each image. It is
    made under a temporary name beside `root`, so that it is there whole or not at all.

    Raises:
        UserError: `root` holds something else already, or cannot be written.
    """
    root = user_path(root)
    rules = json.loads(json.dumps({"drawing": DRAWING, **dataclasses.asdict(config)}))  # tuples become JSON's lists
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; the embedded scenes need a folder. Choose another path.")
    there = root.is_dir() and any(root.iterdir())
    if there:
        _check_same(root, rules)
        if all((root / name).is_file() for name in scene_files(config)):
            return root
    temporary = None
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".tmp", dir=root.parent))
        _write(temporary, config, rules, progress)
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        for name in scene_files(config) if there else ():
            if not (root / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary / name, root / name)
        if not there:
            os.replace(temporary, root)
    except OSError as error:
        raise UserError(f"cannot write {refusal(error, str(root))}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return root


def _check_same(root: Path, rules: dict[str, Any]) -> None:
    path = root / "rules.json"
    if not path.is_file():
        raise UserError(
            f"{root} is not empty and holds no embedded scenes ({path} is missing). Choose another folder, "
            "or delete this one and run again."
        )
    found = read_json(path, dict)
    other = [name for name in {**rules, **found} if found.get(name) != rules.get(name)]
    if other:
        changes = "; ".join(f"{name} {found.get(name)} there, {rules.get(name)} asked for" for name in other[:3])
        raise UserError(
            f"{root} holds embedded scenes made by other rules ({changes}). "
            "Choose another folder, or delete this one and run again."
        )


def _write(root: Path, config: SceneConfig, rules: dict[str, Any], progress: bool) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    ids = {split: [scene_id(split, k) for k in range(getattr(config, split))] for split in SPLITS}
    labels, grounds = [("id", "classes")], [("id", "ground")]
    total = config.train + config.val
    with tqdm(total=total, desc="drawing scenes", unit="img", disable=not progress, mininterval=0.5) as bar:
        for split in SPLITS:
            for index, name in enumerate(ids[split]):
                scene = render_scene(config, index, split)
                picture = Image.fromarray(scene.image)
                picture.save(root / "JPEGImages" / f"{name}.jpg", quality=config.jpeg_quality, subsampling=0)
                save_mask(root / "SegmentationClass" / f"{name}.png", scene.mask)
                labels.append((name, ";".join(scene.labels)))
                grounds.append((name, scene.ground))
                bar.update()
            listing = root / "ImageSets/Segmentation" / f"{split}.txt"
            listing.write_text("\n".join(ids[split]) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(config.classes) + "\n", encoding="utf-8")
    for name, rows in (("labels.csv", labels), ("grounds.csv", grounds)):
        with (root / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    (root / "rules.json").write_text(json.dumps(rules, indent=1) + "\n", encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
