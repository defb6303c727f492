"""Time and memory of the random walk, against the dense matrix where that still fits.

    python benchmarks/random_walk.py

Each row runs in a process of its own on one thread; memory is the rise of that process's resident peak over where it
stood before the call (Linux), after a small walk has loaded the libraries. Seconds are the best of up to five calls
within three seconds, so the dense walk is called once. Both walks get the same random inputs.
"""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from sscnb.refinement import affinities, pair_offsets, random_walk

ROWS = [("dense", 64, 64), ("ours", 64, 64), ("ours", 94, 125), ("ours", 256, 256), ("ours", 375, 500)]


def dense_walk(cam: torch.Tensor, edge: torch.Tensor) -> torch.Tensor:
    """IRN's way with the defaults of `random_walk`: the whole transition matrix, N,N, squared eight times."""
    affinity, valid = affinities(edge, 5)
    height, width = edge.shape
    matrix = torch.eye(height * width)
    for k, (dy, dx) in enumerate(pair_offsets(5).tolist()):
        first = valid[k].flatten().nonzero().flatten()
        second = first + dy * width + dx
        matrix[first, second] = matrix[second, first] = affinity[k].flatten()[first] ** 10
    matrix /= matrix.sum(0, keepdim=True)
    for _ in range(8):
        matrix = matrix @ matrix
    return ((cam * (1 - edge)).flatten(1) @ matrix).reshape(cam.shape)


def memory(key: str) -> float:
    """Return VmRSS (now) or VmHWM (peak) of this process in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6


def measure(walk: str, height: int, width: int) -> tuple[float, float, np.ndarray]:
    """Return seconds, MB and the result of one walk with 2 classes."""
    torch.set_num_threads(1)
    run = {"dense": dense_walk, "ours": random_walk}[walk]
    generator = torch.Generator().manual_seed(0)
    cam = torch.rand(2, height, width, generator=generator)
    edge = torch.rand(height, width, generator=generator) ** 4
    run(cam[:, :16, :16].contiguous(), edge[:16, :16].contiguous())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = memory("VmRSS")
    seconds = []
    while not seconds or (len(seconds) < 5 and sum(seconds) < 3):
        start = time.perf_counter()
        result = run(cam, edge)
        seconds.append(time.perf_counter() - start)
    return min(seconds), memory("VmHWM") - before, result.numpy()


def main() -> None:
    print(f"2 classes, float32, one thread; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"{'walk':6} {'grid':>8} {'seconds':>9} {'extra MB':>9}")
    measured = {}
    # A process a row: a peak that an earlier row has left behind would hide a later one's.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for row in ROWS:
            measured[row] = seconds, megabytes, _ = pool.submit(measure, *row).result()
            print(f"{row[0]:6} {f'{row[1]}x{row[2]}':>8} {seconds:9.3f} {megabytes:9.1f}", flush=True)
    dense, ours = measured["dense", 64, 64], measured["ours", 64, 64]
    print(f"\nat 64x64 the dense walk takes {dense[0] / ours[0]:.0f} times as long and {dense[1] / ours[1]:.0f} times")
    print(f"the memory; the results differ by at most {np.abs(dense[2] - ours[2]).max():.1e}")
    print(f"load of the machine at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
