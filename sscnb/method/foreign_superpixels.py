"""Superpixels that somebody else has computed, such as ICD's, which the release trains with: checked and taken over.

Importing this must stay light (no torch): every worker process does it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from sscnb.datasets import image_size
from sscnb.errors import UserError
from sscnb.files import replacing
from sscnb.method.superpixels import claim, read_superpixels
from sscnb.parallel import in_processes

_SHOWN = 5  # faulty files that are named


def adopt_superpixels(
    paths: Mapping[str, str | os.PathLike],
    source: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> list[str]:
    """Take the superpixels of images over from a folder: `out_dir/<id>.png` with ids 0..K-1, 8 bits, 16 where K > 256.

    What exists in `out_dir` already is left alone; `out_dir/superpixels.json` keeps where it came from.

    Args:
        paths: id -> image file, whose size (upright) the map must have.
        source: has `<id>.png` for each, of a kind that `read_superpixels` understands.
        workers: processes; None: one for each processor; 1: in this process.
        progress: show a bar with rate and remaining time.

    Returns:
        The ids written by this call, in the order of `paths`.

    Raises:
        UserError: no such folder; `out_dir` holds other superpixels; or maps that are missing, cannot be read or are
            of another size than their image. Up to five are named; where none is missing, the others are written.
    """
    source, out_dir = Path(source), Path(out_dir)
    if not source.is_dir():
        raise UserError(f"superpixels.folder is {source}, which is no folder. Name one with a file <id>.png an image.")
    _refuse([f"{p} is missing." for i in paths if not (p := source / f"{i}.png").is_file()], len(paths))
    claim(out_dir, {"folder": str(source)})
    todo = [(name, Path(path), source / f"{name}.png", out_dir / f"{name}.png") for name, path in paths.items()]
    todo = [job for job in todo if not job[3].exists()]
    done = in_processes(_adopt_file, todo, min(workers or os.cpu_count() or 1, max(len(todo), 1)))
    bar = tqdm(done, total=len(todo), desc="superpixels", unit="image", disable=not progress)
    faults = dict(bar)
    _refuse([faults[job[0]] for job in todo if faults[job[0]]], len(paths))
    return [job[0] for job in todo]


def _adopt_file(job: tuple[str, Path, Path, Path]) -> tuple[str, str]:
    """Take one map over; return its id and what was wrong with it, or nothing."""
    name, image, source, target = job
    try:
        labels, size = read_superpixels(source), image_size(image)
    except UserError as error:
        return name, str(error)
    if labels.shape != size:
        return name, f"{source} is of height and width {labels.shape}, its image {image} of {size}."
    with replacing(target) as temporary:
        Image.fromarray(labels.astype(np.uint8 if labels.max() < 256 else np.uint16)).save(temporary)
    return name, ""


def _refuse(faults: list[str], number: int) -> None:
    if faults:
        more = f"\n... and {len(faults) - _SHOWN} more." if len(faults) > _SHOWN else ""
        raise UserError(
            f"superpixels of {len(faults)} of {number} images cannot be used. Every training image needs one, of its "
            "own size:\n" + "\n".join(faults[:_SHOWN]) + more
        )
