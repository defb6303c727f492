"""Where the seconds of a training step, and of an image's CAMs, go: the operations that take most, by torch's profiler.

    OMP_NUM_THREADS=1 python benchmarks/where_a_step_goes.py --preset voc_animals --variants drs drs+cdr ssc

Weights are random and images are noise: neither changes what a step costs. The seconds of a line are the operation's
own, without what it calls; `calls` says how often.
"""

import argparse
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from sscnb.evidence import prepare_step
from sscnb.method import scale_maps
from sscnb.method.objective import build_cam_net
from sscnb.networks import folded, placed
from sscnb.settings import Config, find_variant, load_config

CLASSES = 20


def cams_of_an_image(config: Config, variant: str) -> Callable[[], object]:
    """Return what makes the maps of one image of 4:3 at all scales, with its mirror image."""
    parts, config = find_variant(variant, config)
    net = placed(folded(build_cam_net(config, parts, CLASSES, weights="random")))
    long_side = config.inference.long_side or 500
    sides = [(round(0.75 * long_side * s), round(long_side * s)) for s in config.inference.scales]
    images = [torch.randn(1, 3, *side) for side in sides]
    return lambda: scale_maps(net, images, flip=config.inference.flip)


def show(title: str, work: Callable[[], object], lines: int) -> None:
    """Do the work once unwatched and once watched, and print its most expensive operations."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        work()
    found = sorted(watched.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in found)
    print(f"\n{title}: {total / 1e6:.2f} s")
    for event in found[:lines]:
        share = 100 * event.self_cpu_time_total / total
        print(f"  {share:5.1f} %  {event.self_cpu_time_total / 1e6:7.3f} s  {event.count:5d} calls  {event.key}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Print where a training step and an image's CAMs go.")
    parser.add_argument("--preset", default="voc_animals")
    parser.add_argument("--variants", nargs="+", default=["drs", "drs+cdr", "ssc"])
    parser.add_argument("--lines", type=int, default=8)
    options = parser.parse_args()
    config = load_config(options.preset)
    for variant in options.variants:
        show(f"{variant}, a step of {config.cam.batch_size}", prepare_step(config, variant), options.lines)
    show("CAMs of an image", cams_of_an_image(config, options.variants[0]), options.lines)


if __name__ == "__main__":
    main()
