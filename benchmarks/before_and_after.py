"""Seconds of a step of every stage, another checkout's code and this one's taking turns.

    git worktree add /tmp/before f4aa7ed
    OMP_NUM_THREADS=1 python benchmarks/before_and_after.py --before /tmp/before --write

Both checkouts are timed with the same installed packages, each in a process of its own that does one piece of work when
it is its turn, so that a busy moment of the machine meets both. A plain matrix product goes along: what it reaches in
operations a second bounds what a step can. Networks have random weights, images are noise (for
superpixels scikit-image's photograph): neither changes what a step costs. A step is with everything on: decoder and
alignment after their warm-up. One piece of each goes before and does not count; of the others the median is taken.
`--write` keeps them as rows in book/results/speed.json, with both commits, machine and load.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "book/results/speed.json"
# Steps too small to diverge on noise keep the numbers ordinary for the processor.
CALM = {"cam.lr_backbone": 1e-6, "cam.lr_classifier": 1e-6, "reconstruction.lr": 1e-6}


def found(*places: str) -> Any:
    """Return the first of `module:name` that a checkout has: modules have moved."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"none of {', '.join(places)} is there")


def cam_step(variant: str, crop: int) -> Callable[[], object]:
    config = found("sscnb.settings:load_config", "sscnb.config:load_config")("small", CALM | {"cam.crop": crop})
    return found("sscnb.evidence:prepare_step", "sscnb.cost:prepare_step")(config, variant)


def cams() -> Callable[[], object]:
    """All maps of an image of 300x400 at scales 1, .5 and 1.5, with its mirror image."""
    import torch

    load, variant = found("sscnb.settings:load_config", "sscnb.config:load_config"), "drs"
    config = load("small", {"cam.weights": "random"})
    of_variant = found("sscnb.settings:find_variant", "sscnb.variants:find_variant")(variant, config)[0]
    build = found("sscnb.method:build_objective", "sscnb.objective:build_objective")
    net = build(config, of_variant, 20).net.eval().to(memory_format=torch.channels_last)
    images = [torch.randn(1, 3, round(300 * s), round(400 * s)) for s in (1.0, 0.5, 1.5)]
    try:
        scale_maps, folded = found("sscnb.method:scale_maps"), found("sscnb.networks:folded")
    except SystemExit:
        at_once = found("sscnb.cam:multi_scale_activation")
        return lambda: at_once(net, images[0], grid=(75, 100), scales=(1.0, 0.5, 1.5))
    net = folded(net)
    return lambda: scale_maps(net, images)


def trained(objective: Any, optimizers: list[Any], side: int, labels: int) -> Callable[[], object]:
    """A step of a network that learns from masks, as `fit` takes it."""
    import torch

    objective = objective.train().to(memory_format=torch.channels_last)
    batch = {"image": torch.randn(8, 3, side, side), "target": torch.randint(labels, (8, side, side))}
    step = found("sscnb.evidence.cost:training_step", "sscnb.cost:training_step")
    return lambda: step(objective, optimizers, batch, 0)


def irn_step() -> Callable[[], object]:
    import torch

    config = found("sscnb.settings:load_config", "sscnb.config:load_config")("small", {"irn.weights": "random"})
    try:
        objective, optimizers = found("sscnb.stages.irn:build_relations")(config.irn)
    except SystemExit:
        net = found("sscnb.stage_irn:_build_net")(config.irn)
        objective = found("sscnb.stage_irn:RelationObjective")(net, config.irn.radius)
        optimizers = [torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-6)]
    return trained(objective, optimizers, config.irn.crop, 3)


def segmentation_step() -> Callable[[], object]:
    config = found("sscnb.settings:load_config", "sscnb.config:load_config")("small", {"segmentation.lr": 1e-6})
    net = found("sscnb.segmentation:build_deeplab")(config.segmentation, 9, weights="random")
    optimizer = found("sscnb.segmentation:build_optimizer")([net], config.segmentation)
    objective = found("sscnb.segmentation:SegmentationObjective")(net)
    return trained(objective, [optimizer], config.segmentation.crop, 9)


def walk(height: int, width: int) -> Callable[[], object]:
    import torch

    one = found("sscnb.refinement:random_walk", "sscnb.random_walk:random_walk")
    cam, edge = torch.rand(2, height, width), torch.rand(height, width) ** 4
    return lambda: one(cam, edge)


def matrix_product() -> Callable[[], object]:
    """What the processor can do: the products of convolutions are no faster than this."""
    import torch

    left, right = torch.randn(2, 2048, 2048)
    return lambda: left @ right


def operations(work: Callable[[], object]) -> float:
    """Count the products of convolutions and matrices in GFLOP; 0 where the checkout has no count."""
    try:
        counting = found("sscnb.evidence.operations:Products")
    except SystemExit:
        return 0.0
    with counting() as products:
        work()
    return products.total / 1e9


def superpixels() -> Callable[[], object]:
    from skimage.data import astronaut

    segment = found("sscnb.method:segment", "sscnb.superpixels:segment")
    image = astronaut()[:375, :500].copy()
    return lambda: segment(image)


WORK: dict[str, Callable[[], Callable[[], object]]] = {
    **{
        f"step of {v}, {side} px": lambda v=v, side=side: cam_step(v, side)
        for side in (176, 320)
        for v in ("baseline", "drs+cdr", "ssc")
    },
    "CAMs of an image, 3 scales": cams,
    "step of the relation network": irn_step,
    "walk, 48x48": lambda: walk(48, 48),
    "walk, 94x125": lambda: walk(94, 125),
    "step of segmentation": segmentation_step,
    "superpixels, 375x500": superpixels,
    "matrix product, 2048x2048": matrix_product,
}


def serve() -> None:
    """Do the work that is named on each line read; answer with seconds by the wall and of this process, and GFLOP."""
    import torch

    torch.set_num_threads(1)
    name, work, gflop = "", None, 0.0
    for line in sys.stdin:
        if line.strip() != name:
            name = line.strip()
            torch.manual_seed(0)
            work = WORK[name]()
            gflop = operations(work)
            work()
        began = time.perf_counter(), time.process_time()
        work()
        print(json.dumps([time.perf_counter() - began[0], time.process_time() - began[1], gflop]), flush=True)


def start(checkout: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=checkout, env=environment, stdin=pipe, stdout=pipe, text=True)


def ask(server: subprocess.Popen, name: str) -> list[float]:
    assert server.stdin and server.stdout
    server.stdin.write(name + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    if not answer:
        raise SystemExit(f"{name!r} could not be done in {server.args}")
    return json.loads(answer)


def processor_name() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of what to time")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    checkouts = {"before": options.before.resolve(), "after": ROOT}
    servers, rows = {way: start(checkout) for way, checkout in checkouts.items()}, []
    for name in WORK:
        if options.only and not any(part in name for part in options.only):
            continue
        seconds: dict[str, list[list[float]]] = {"before": [], "after": []}
        load = os.getloadavg()[0]
        for _ in range(options.repetitions):
            for way, server in servers.items():
                seconds[way].append(ask(server, name))
        row = {"work": name, "load": round(load, 1), "repetitions": options.repetitions, "processor": processor_name()}
        for way, checkout in checkouts.items():
            wall, of_process, gflop = (statistics.median(column) for column in zip(*seconds[way], strict=True))
            row |= {way: round(wall, 4), f"processor_{way}": round(of_process, 4), f"commit_{way}": commit(checkout)}
        row["gflop"] = round(gflop, 2)  # of today's code
        row |= {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "threads": 1}
        row |= {"metric": "speed-up", "value": round(row["before"] / row["after"], 3)}
        rows.append(row | {"utc": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())})
        print(f"{name:32} {row['before']:8.3f} s -> {row['after']:8.3f} s  {row['value']:5.2f} times", flush=True)
    for server in servers.values():
        server.terminate()
    if options.write:
        from sscnb.files import write_json

        write_json(RESULTS, {"rows": rows})


if __name__ == "__main__":
    main()
