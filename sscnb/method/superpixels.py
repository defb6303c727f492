"""Superpixels: Felzenszwalb and Huttenlocher's regions (IJCV 2004), merged as in selective search to a given number.

That is what the paper's text says. The maps which its release takes from ICD were merged by network features instead;
`read_superpixels` reads those too. Importing this must stay light (no torch): every worker process does it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.measure import label
from skimage.segmentation import felzenszwalb
from tqdm import tqdm

from sscnb.datasets import read_image
from sscnb.errors import UserError
from sscnb.files import read_json, replacing, write_json
from sscnb.method.region_merging import absorb_fragments, merge_regions
from sscnb.parallel import in_processes

SIGMA, SCALE, MIN_SIZE = 0.8, 75.0, 75  # ICD's
# Few regions of 75 pixels fit into a small image: there the smallest region is this share of it. Chosen among sizes
# from 4 to 75 by recall and undersegmentation on 60 photographs of msrc21 at 320, 160 and 96 pixels.
MIN_SHARE = 1 / 500
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)  # raised by PIL and numpy
MOST_IDS = 4096  # no map of superpixels has more; a photograph read as one has


def relabel(ids: np.ndarray) -> np.ndarray:
    """Return the ids (any shape, any integers) as 0..K-1 without gaps, in the same order: int32."""
    ids = np.asarray(ids)
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int32)


def segment(image: np.ndarray, *, max_regions: int = 64) -> np.ndarray:
    """Split an image into at most `max_regions` connected regions of similar colour and texture.

    Felzenszwalb with ICD's sigma .8, k = 75 and smallest region 75 pixels (1/500 of the image where that is less), then
    merging of adjacent regions by colour, texture, size and fill (Uijlings et al., IJCV 2013). An image that consists
    of at most `max_regions` flat areas, a drawing for instance, is cut exactly into these. Deterministic.

    Args:
        image: H,W,3 uint8 RGB, of any size.

    Returns:
        H,W labels 0..K-1, K <= max_regions, each 4-connected, numbered in raster order of their first pixels;
            uint8 if max_regions <= 256, else int32.

    Raises:
        UserError: the image is not H,W,3 uint8, or max_regions is below 1.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UserError(
            f"superpixels need an RGB image H,W,3 of uint8, got shape {image.shape} of {image.dtype}. "
            "Convert it first, for example with PIL: np.asarray(Image.open(path).convert('RGB'))."
        )
    if max_regions < 1:
        raise UserError(f"max_regions must be at least 1, got {max_regions}; the paper uses 64.")
    packed = image.astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)
    regions, count = label(packed + 1, connectivity=1, return_num=True)
    if count > max_regions:
        min_size = max(1, min(MIN_SIZE, round(packed.size * MIN_SHARE)))
        # Felzenszwalb joins pixels that touch at a corner only; such parts become regions of their own.
        regions = label(felzenszwalb(image, SCALE, SIGMA, min_size) + 1, connectivity=1)
        regions = absorb_fragments(image, regions - 1, min_size)
        regions = merge_regions(image, regions, max_regions)
        regions = label(regions + 1, connectivity=1)
    return (regions - 1).astype(np.uint8 if max_regions <= 256 else np.int32)


def read_superpixels(path: str | os.PathLike) -> np.ndarray:
    """Read a superpixel map and number its K superpixels without gaps.

    Understood are our 8-bit PNGs, the release's 3-channel PNGs (id = c0 + 256 c1 + 65536 c2, channels in the file's
    order R, G, B; the other order would only number the same superpixels differently), and maps of ids as
    16-bit PNG or .npy.

    Returns:
        H,W int32 0..K-1, in the order of the file's ids.

    Raises:
        UserError: the file is missing, cannot be read, or is no map of superpixels.
    """
    path = Path(path)
    expected = "Expected superpixel ids: a PNG of 8 or 16 bits, a 3-channel PNG as SSC released, or integers as .npy."
    try:
        if path.suffix == ".npy":
            ids = np.load(path, allow_pickle=False)
        else:
            with Image.open(path, formats=["PNG"]) as file:  # lossy formats cannot hold ids
                ids = np.asarray(file)
    except FileNotFoundError as error:
        raise UserError(f"superpixels {path} are missing. Write them with notebook 01 (data preparation).") from error
    except UNREADABLE as error:
        raise UserError(f"cannot read superpixels from {path}: {error}. {expected}") from error
    if ids.ndim == 3 and ids.shape[2] == 3 and ids.dtype == np.uint8:
        ids = ids.astype(np.int32)  # before the multiplication: 256 * 8 bits would overflow
        ids = ids[..., 0] + 256 * ids[..., 1] + 65536 * ids[..., 2]
    if ids.ndim != 2 or ids.size == 0 or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"{path} holds {ids.dtype} of shape {ids.shape}, no superpixels. {expected}")
    labels = relabel(ids)
    if labels.max() >= MOST_IDS:
        raise UserError(f"{path} has {labels.max() + 1} different ids; is it a photograph? {expected}")
    return labels


def segment_files(
    paths: Mapping[str, str | os.PathLike],
    out_dir: str | os.PathLike,
    *,
    max_regions: int = 64,
    workers: int | None = None,
    progress: bool = True,
) -> list[str]:
    """Write the superpixels of many images as 8-bit PNGs, in parallel, going on where an earlier call stopped.

    `out_dir/superpixels.json` keeps the settings; `out_dir/<id>.png` that exist already are left alone.

    Args:
        paths: id -> image file (read as RGB).
        workers: processes; None: one for each processor; 1: in this process.
        progress: show a bar with rate and remaining time.

    Returns:
        The ids written by this call, in the order of `paths`.

    Raises:
        UserError: `out_dir` holds superpixels of other settings or origin, or images cannot be read; these are named,
            and all the others are written before.
    """
    out_dir = Path(out_dir)
    if not 1 <= max_regions <= 256:
        raise UserError(f"max_regions must be within 1..256, got {max_regions}: superpixels are stored with 8 bits.")
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, got {workers}; leave it out to use every processor.")
    felzenszwalb_settings = {"sigma": SIGMA, "scale": SCALE, "min_size": MIN_SIZE, "min_share": MIN_SHARE}
    claim(out_dir, {"max_regions": max_regions, **felzenszwalb_settings})
    todo = [(name, Path(path), out_dir / f"{name}.png", max_regions) for name, path in paths.items()]
    todo = [job for job in todo if not job[2].exists()]
    workers = min(workers or os.cpu_count() or 1, max(len(todo), 1))
    # Nothing in a job runs threads, so that a worker is one core.
    bar = tqdm(
        in_processes(_segment_file, todo, workers),
        total=len(todo),
        desc="superpixels",
        unit="image",
        disable=not progress,
    )
    failed = dict(result for result in bar if result[1])
    if failed:
        listed = "\n".join(failed[job[0]] for job in todo if job[0] in failed)
        raise UserError(f"{len(failed)} of {len(todo)} images gave no superpixels, the others are written:\n{listed}")
    return [job[0] for job in todo]


def claim(out_dir: Path, settings: dict[str, float | str]) -> None:
    """Note in a folder what its superpixels are made with, before the first is written.

    Raises:
        UserError: it holds superpixels of other settings, or PNGs of unknown origin.
    """
    record = out_dir / "superpixels.json"
    if record.exists():
        if (found := read_json(record)) != settings:
            raise UserError(
                f"{out_dir} holds superpixels of other settings: {found}, now wanted: {settings}. "
                "Choose another folder or delete this one."
            )
    elif any(out_dir.glob("*.png")):
        raise UserError(
            f"{out_dir} holds PNGs but no superpixels.json, so nobody can tell what they were made with. "
            "Choose another folder or delete this one."
        )
    else:
        write_json(record, settings)


def _segment_file(job: tuple[str, Path, Path, int]) -> tuple[str, str]:
    """Write one image's superpixels; return its id and what was wrong with the image, or nothing."""
    name, source, target, max_regions = job
    try:
        image = read_image(source)
    except UserError as error:
        return name, str(error)
    with replacing(target) as temporary:
        Image.fromarray(segment(image, max_regions=max_regions)).save(temporary)
    return name, ""
