"""SBD's folder (Hariharan et al., ICCV 2011): where it lies, its lists, and its masks as palette PNGs."""

import os
from pathlib import Path

import numpy as np

from sscnb.datasets.folder import IGNORE, VOC_CLASSES
from sscnb.datasets.images import image_size
from sscnb.datasets.lists import read_lines
from sscnb.datasets.names import check_name
from sscnb.datasets.palette import save_mask
from sscnb.errors import UserError
from sscnb.files import user_path

_BENCHMARK = Path("benchmark_RELEASE/dataset")  # where the archive puts it


def sbd_folder(folder: Path, root: Path, sbd: str | Path) -> Path | None:
    """Return SBD's folder: `sbd` or one in it; without, the one in VOC's folder or its root; None if there is none."""
    if sbd:
        places = [Path(os.path.realpath(user_path(sbd)))]
    else:
        places = [place / name for place in (root, folder) for name in ("", "sbd", "SBD")]
    return next((p for place in places for p in (place, place / _BENCHMARK) if (p / "cls").is_dir()), None)


def sbd_whole(source: Path) -> bool:
    """Tell whether every mask of SBD's lists is there."""
    lists = [source / f"{name}.txt" for name in ("train", "val")]
    return all(path.is_file() for path in lists) and all(
        (source / f"cls/{i}.mat").is_file() for path in lists for i in sbd_ids(path)
    )


def sbd_ids(path: Path) -> list[str]:
    """Return the ids of one of SBD's lists.

    Raises:
        UserError: the list is missing, no text, or a line is no id.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: SBD's folder holds cls/, train.txt and val.txt.")
    return [check_name(line, f"{path}, line {n}") for n, line in enumerate(read_lines(path), start=1) if line]


def convert_mask(job: tuple[Path, Path, Path]) -> str:
    """Write one of SBD's masks as palette PNG; return what was wrong, or nothing.

    Args:
        job: the .mat file, its image, the PNG.
    """
    from scipy.io import loadmat

    source, image, target = job
    if not source.is_file():
        return f"{source} is missing."
    try:
        mask = loadmat(source, variable_names=["GTcls"])["GTcls"]["Segmentation"][0, 0]
    except Exception as error:  # scipy raises many kinds for a damaged file
        return f"{source} cannot be read as a mask of SBD ({type(error).__name__}). Unpack it again."
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype.kind not in "iu":
        kind = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        return f"{source} holds {kind}, no mask of SBD (whole numbers, H,W). Unpack it again."
    try:
        height, width = image_size(image)
    except UserError as error:
        return str(error)
    if mask.shape != (height, width):
        return f"{source} is {mask.shape[1]}x{mask.shape[0]} pixels, its image {image} {width}x{height}."
    if wrong := [int(v) for v in np.unique(mask) if not 0 <= v <= len(VOC_CLASSES) and v != IGNORE]:
        return f"{source} holds class {wrong[0]}; VOC has {len(VOC_CLASSES)}."
    save_mask(target, mask)
    return ""
