"""Segment one's own photographs with a run's trained network: masks and overlays out of images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn
from tqdm import tqdm

from sscnb.datasets import SUFFIXES, read_image, read_reduced, save_mask
from sscnb.errors import UserError, nearest, system_errors
from sscnb.evidence import overlay_mask
from sscnb.files import read_json, replacing, user_path
from sscnb.refinement import require_crf
from sscnb.segmentation import predict_mask
from sscnb.settings import SegmentationSettings
from sscnb.stages import load_network, project_root

LIMIT = 1024  # pixels of the long side, unless another limit is asked for: what a processor with a few GB can do
_STRIP = 256  # rows


def predict_files(
    run_dir: str | Path,
    paths: str | Path,
    output: str | Path,
    *,
    source: str = "",
    seed: int | None = None,
    backbone: str = "",
    crf: str = "",
    limit: int = LIMIT,
) -> tuple[list[Path], list[UserError]]:
    """Segment an image, or the images of a folder; a file that cannot be read does not keep the others waiting.

    Writes `masks/<name>.png` (palette PNG at the image's own size) and `overlays/<name>.jpg` into `output`. One of
    more than `MAX_PIXELS` is worked on at a fraction of its size, which its overlay has; its mask is brought up.

    Args:
        run_dir: a run folder with a trained segmentation network; a relative path begins at the project's folder, as
            everywhere.
        paths: an image file, or a folder whose images, not those of its subfolders, are taken.
        source, seed, backbone: which network, where the folder has several; empty: as `find_network` chooses.
        crf: "dense" or "none"; empty: as the run's settings have it.
        limit: shrink larger images to this long side while they are worked on; 0 never does, and takes no image of
            more than `MAX_PIXELS`.

    Returns:
        The masks' paths, and an error for each file that was left out.

    Raises:
        UserError: no such network or no images at all.
    """
    files = image_files(user_path(paths))
    folder, why = find_network(project_root() / user_path(run_dir), source, seed, backbone)
    net, settings, classes = load_network(folder)
    if crf:
        settings = replace(settings, crf="none" if crf == "none" else "dense")
    if settings.crf == "dense":
        require_crf()
    tqdm.write(f"network: {'/'.join(folder.parts[-3:])}: {why}")
    output, written, errors = user_path(output), [], []
    names = output_names(files)
    for path in tqdm(files, desc="segmenting", unit="img", mininterval=0.5, disable=len(files) == 1):
        try:
            with system_errors():
                # Shrunk for the network all the same, so that a large photograph need not be decoded whole.
                image, size = read_reduced(path) if limit else _whole(path)
                mask = _predicted(net, image, settings, limit, path)
                save_mask(output / f"masks/{names[path]}.png", _enlarged(mask, size))
                with replacing(output / f"overlays/{names[path]}.jpg") as temporary:
                    Image.fromarray(_overlaid(image, mask)).save(temporary, quality=92)
        except UserError as error:
            errors.append(error)
            continue
        tqdm.write(f"{path}: {describe(mask, classes)}")
        written.append(output / f"masks/{names[path]}.png")
    return written, errors


def output_names(files: Sequence[Path]) -> dict[Path, str]:
    """Return the name of each file's outputs: without its suffix, or with it where that would be another's as well.

    No two are the same, nor differ in case alone, which some disks take for the same.
    """
    stems = Counter(path.stem.casefold() for path in files)
    whole = {path.name.casefold() for path in files}
    names: dict[Path, str] = {}
    taken = Counter[str]()
    for path in sorted(files, key=lambda path: path.name.swapcase()):  # the lower case keeps its name
        alone = stems[path.stem.casefold()] == 1 and path.stem.casefold() not in whole
        name = path.stem if alone else path.name  # beach.jpg and beach.png in one folder
        taken[name.casefold()] += 1
        number = taken[name.casefold()]
        names[path] = name if number == 1 else f"{name}-{number}"  # beach.jpg and beach.JPG
    return names


def _whole(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    image = read_image(path)
    return image, image.shape[:2]


def _predicted(net: nn.Module, image: np.ndarray, settings: SegmentationSettings, limit: int, path: Path) -> np.ndarray:
    try:
        return predict_mask(net, image, settings, limit=limit)
    except RuntimeError as error:  # torch's, where memory is not to be had
        raise UserError(
            f"image {path} could not be segmented ({str(error).splitlines()[0]}). A smaller --limit needs less memory."
        ) from error


def _overlaid(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """As `overlay_mask`, strip by strip: its numbers take fifty times the room of a pixel."""
    strips = range(0, len(image), _STRIP)
    return np.concatenate([overlay_mask(image[y : y + _STRIP], mask[y : y + _STRIP]) for y in strips])


def _enlarged(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring the mask of a photograph that was read at a fraction of its size to the size H,W, by the nearest pixel."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def image_files(path: Path) -> list[Path]:
    """Return the image itself, or the images of a folder by name.

    Raises:
        UserError: there is nothing there, or no image.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"there is no image or folder {path}.")
    files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and not p.is_dir())
    if not files:
        raise UserError(f"{path} has no images; expected files that end in {', '.join(SUFFIXES[:3])}.")
    return files


def find_network(run_dir: Path, source: str = "", seed: int | None = None, backbone: str = "") -> tuple[Path, str]:
    """Return the folder of a finished segmentation network of a run, and why it is this one.

    Of several it is the one that measured best, where the run had masks to measure with; else that of SSC's masks and
    the lowest random seed. One that learned from true masks is taken only where it is asked for, or alone.

    Raises:
        UserError: there is none, or several and nothing says which.
    """
    found = [p.parent for p in sorted(run_dir.glob("segmentation/*/*/seed*/results.json"))]
    if not found:
        raise UserError(
            f"{run_dir} has no trained segmentation network: run notebook 06_segmentation_training or "
            f"`python -m sscnb run segmentation` first, or choose another run folder."
        )
    found = _named(found, -3, backbone, "--backbone")
    found = _named(found, -2, source, "--source")
    found = _named(found, -1, "" if seed is None else f"seed{seed}", "--seed")
    found = [folder for folder in found if folder.parts[-2] != "truth"] or found
    if len(found) == 1:
        return found[0], "the only one to choose from"
    measured = {folder: row for folder in found if (row := _measured(folder))}
    if measured:
        best, row = max(measured.items(), key=lambda pair: pair[1]["value"])
        return best, f"the best of {len(measured)} on split {row['split']}, mIoU {100 * row['value']:.1f} %"
    found = _preferred(found, -3, "", "--backbone")
    found = _preferred(found, -2, "ssc", "--source")
    first = min(found, key=lambda folder: int(folder.name.removeprefix("seed")))
    return first, "none was measured, for lack of masks: of SSC's or the only masks, the lowest random seed"


def _measured(folder: Path) -> dict[str, Any] | None:
    """Return the row of a network's mIoU on the run's own split, or None where there were no masks."""
    path = folder / "evaluation/results.json"
    rows = read_json(path, {"rows": list})["rows"] if path.is_file() else []
    return next((row for row in rows if row["metric"] == "segmentation/mIoU" and row["value"] is not None), None)


def _named(folders: list[Path], part: int, wanted: str, option: str) -> list[Path]:
    """Return the folders whose part of the path is the one that was asked for; all, where none was."""
    names = list(dict.fromkeys(folder.parts[part] for folder in folders))
    if wanted and wanted not in names:
        raise UserError(f"there is no trained network of {wanted!r} ({option}); {nearest(wanted, names)}")
    return [folder for folder in folders if folder.parts[part] == wanted] if wanted else folders


def _preferred(folders: list[Path], part: int, name: str, option: str) -> list[Path]:
    names = list(dict.fromkeys(folder.parts[part] for folder in folders))
    if len(names) > 1 and name not in names:
        raise UserError(f"there are networks of {', '.join(names)}, and none was measured: choose one with {option}.")
    return [folder for folder in folders if folder.parts[part] == (name if len(names) > 1 else names[0])]


def describe(mask: np.ndarray, classes: list[str]) -> str:
    """Name the classes of a mask with their share of its pixels, the largest first."""
    shares = np.bincount(mask.ravel(), minlength=len(classes) + 1) / mask.size
    order = [i for i in np.argsort(-shares, kind="stable") if i and shares[i]]
    return ", ".join(f"{classes[i - 1]} {100 * shares[i]:.1f} %" for i in order) or "background alone"
