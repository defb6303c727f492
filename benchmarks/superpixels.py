"""Superpixels against SLIC at the same number: boundary recall, undersegmentation error, time and memory.

    python benchmarks/superpixels.py --data ROOT [--images 100] [--max-regions 64] [--compactness 10]

ROOT is a folder in VOC's layout; its images are taken evenly spaced by name. SLIC's `n_segments` is searched until it
gives as many superpixels as ours do in that image, or as near as it gets. Recall and leak (undersegmentation error)
are given with the mask's 255 left out, and with 255 taken as one more class, of use where unlabelled regions have true
outlines.
Boundary pixels: the share of the image's pixels that lie on a superpixel boundary; recall is cheap where it is large.
"""

import argparse
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import slic

from sscnb.evaluation import boundaries, boundary_recall, undersegmentation_error
from sscnb.method import relabel, segment

MEASURES = ("K", "recall", "recall+255", "leak", "leak+255", "boundary pixels", "CPU s")


def slic_of(image: np.ndarray, count: int, compactness: float) -> tuple[np.ndarray, float]:
    """Return SLIC's superpixels, as near to `count` as eight tries get, and the CPU seconds of one call."""
    best, wanted = None, count
    for _ in range(8):
        start = time.process_time()
        labels = relabel(slic(image, n_segments=wanted, compactness=compactness, start_label=0))
        seconds = time.process_time() - start
        short = count - (int(labels.max()) + 1)
        if best is None or abs(short) < best[0]:
            best = abs(short), labels, seconds
        if short == 0:
            break
        wanted = max(1, wanted + short)
    return best[1:]


def measure(labels: np.ndarray, mask: np.ndarray, seconds: float) -> list[float]:
    """Return the MEASURES of one image's superpixels; `mask` as in the file, 255 unlabelled."""
    whole = np.where(mask == 255, 254, mask)
    recall = [boundary_recall(labels, m, tolerance=2) for m in (mask, whole)]
    leak = [undersegmentation_error(labels, m) for m in (mask, whole)]
    return [labels.max() + 1, *recall, *leak, boundaries(labels).mean(), seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--max-regions", type=int, default=64)
    parser.add_argument("--compactness", type=float, default=10.0)
    options = parser.parse_args()
    photos = sorted((options.data / "JPEGImages").glob("*.jpg"))
    if not photos:
        raise SystemExit(f"no photographs in {options.data / 'JPEGImages'}")
    photos = [photos[k] for k in np.linspace(0, len(photos) - 1, min(options.images, len(photos))).round().astype(int)]
    ours, theirs, largest = [], [], None
    for path in photos:
        image = np.asarray(Image.open(path).convert("RGB"))
        mask = np.asarray(Image.open(options.data / "SegmentationClass" / f"{path.stem}.png"))
        if largest is None or image.size > largest.size:
            largest = image
        start = time.process_time()
        labels = segment(image, max_regions=options.max_regions)
        ours.append(measure(labels, mask, time.process_time() - start))
        other, seconds = slic_of(image, int(labels.max()) + 1, options.compactness)
        theirs.append(measure(other, mask, seconds))
    print(f"{len(photos)} images, the largest {largest.shape[1]}x{largest.shape[0]}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':15}" + "".join(f"{name:>17}" for name in MEASURES))
    for name, rows in (("ours", ours), ("SLIC", theirs)):
        print(f"{name:15}" + "".join(f"{value:17.3f}" for value in np.nanmean(rows, axis=0)))
    difference = np.array(ours) - np.array(theirs)
    error = np.nanstd(difference, axis=0, ddof=1) / np.sqrt((~np.isnan(difference)).sum(axis=0))
    print(f"{'ours - SLIC':15}" + "".join(f"{value:+17.3f}" for value in np.nanmean(difference, axis=0)))
    print(f"{'standard error':15}" + "".join(f"{value:17.3f}" for value in error))
    tracemalloc.start()
    segment(largest, max_regions=options.max_regions)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    print(f"ours: longest call {max(row[-1] for row in ours):.2f} CPU s; peak memory on the largest {peak:.0f} MB")


if __name__ == "__main__":
    main()
