"""Time the confusion counts of a split like VOC's val: 1,449 masks of 500 x 375 pixels, 21 classes, one core.

    python benchmarks/confusion.py

Masks are made beforehand and used in turn, so that accumulation alone is timed: smooth ones, as networks predict,
and noise, since a histogram's speed depends on how often neighbours fall into one bin.
"""

import os
import time

import numpy as np

from sscnb.evaluation import ConfusionMatrix

IMAGES, HEIGHT, WIDTH, CLASSES, POOL = 1449, 375, 500, 21, 32


def smooth_mask(rng: np.random.Generator) -> np.ndarray:
    """Blocks of one class each, (H,W) uint8, with lines of 255 between some of them."""
    blocks = rng.integers(CLASSES, size=(12, 16)).astype(np.uint8)
    mask = np.kron(blocks, np.ones((32, 32), np.uint8))[:HEIGHT, :WIDTH].copy()
    mask[::32] = 255
    return mask


def noise_mask(rng: np.random.Generator) -> np.ndarray:
    """One class a pixel, (H,W) uint8."""
    return rng.integers(CLASSES, size=(HEIGHT, WIDTH), dtype=np.uint8)


def seconds(make_mask) -> float:
    """Wall seconds for accumulating all images."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(POOL):
        target = make_mask(rng)
        prediction = np.roll(np.where(target == 255, 0, target), 3, axis=1).astype(np.uint8)
        pairs.append((prediction, target))
    matrix = ConfusionMatrix(CLASSES)
    start = time.perf_counter()
    for i in range(IMAGES):
        matrix.update(*pairs[i % POOL])
    return time.perf_counter() - start


if __name__ == "__main__":
    load = f"load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "load unknown"
    for name, make_mask in (("smooth masks", smooth_mask), ("noise", noise_mask)):
        print(f"{name}: {IMAGES} masks of {WIDTH} x {HEIGHT}, {CLASSES} classes: {seconds(make_mask):.2f} s "
              f"({load}, {os.cpu_count()} cores)")
