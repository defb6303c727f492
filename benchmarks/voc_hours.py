"""What the full-size presets ask of a GPU: operations of a step or an image of every stage, and how many there are.

    python benchmarks/voc_hours.py --write     # rows into book/results/voc_check.json: some minutes, little memory

The preset's own step runs on tensors without data, and the products of its convolutions and matrices are counted, two
operations each, forward and backward. What else there is moves memory and is left out: norms, interpolation, losses,
the random walk (0.13 GFLOP a class). Images are of 500x375 pixels, as most of VOC's; steps follow from the settings
and from 10,582 training and 1,449 validation images. `sscnb.evidence.hours` makes hours of these rows.
"""

import argparse
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sscnb.datasets import inner_size
from sscnb.evidence.cost import build_step, example_batch, training_step
from sscnb.files import read_json, write_json
from sscnb.method import build_objective, scale_maps
from sscnb.method.objective import build_cam_net
from sscnb.refinement import edge_map
from sscnb.segmentation import CoTrainingObjective
from sscnb.settings import Config, find_variant, load_config, override
from sscnb.stages import provenance
from sscnb.stages.irn import RelationObjective, _build_net
from sscnb.stages.segmentation import build_net

RESULTS = Path(__file__).parent.parent / "book/results/voc_check.json"
PRESETS = ("voc", "voc_released")
CLASSES, TRAIN, VAL, SIZE = 20, 10_582, 1_449, (375, 500)
RANDOM = {f"{part}.weights": "random" for part in ("cam", "irn", "segmentation")}


class Products(TorchDispatchMode):
    """Count the operations of convolutions and matrix products, and answer what tensors without data cannot."""

    def __init__(self, nonzero: int = 0, value: int = 0) -> None:
        super().__init__()
        self.total, self.nonzero, self.value = 0, nonzero, value

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((self.nonzero, args[0].dim()), dtype=torch.long)
        if func is torch.ops.aten._local_scalar_dense.default:
            return self.value
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


@contextmanager
def counting(**answers: int):
    """Count what runs in the block, on tensors without data."""
    with FakeTensorMode(), Products(**answers) as products:
        yield products


def cam_step(config: Config, variant: str) -> int:
    """Return the operations of a training step of a variant's CAM network, alignment on."""
    batch = config.cam.batch_size
    with counting(nonzero=2 * batch, value=63) as products:
        objective, optimizers, epoch = build_step(config, variant, CLASSES, build_objective)
        training_step(objective, optimizers, example_batch(batch, config.cam.crop, CLASSES), epoch)
    return products.total


def cam_image(config: Config, variant: str) -> int:
    """Return the operations of an image's CAMs."""
    parts, config = find_variant(variant, config)
    height, width = inner_size(SIZE, config.inference.long_side)
    sizes = [(round(height * scale), round(width * scale)) for scale in config.inference.scales]
    with counting() as products:
        net = build_cam_net(config, parts, CLASSES).eval()
        scale_maps(net, [torch.randn(1, 3, *size) for size in sizes], flip=config.inference.flip)
    return products.total


def irn_step(config: Config) -> int:
    """Return the operations of a training step of the relation network."""
    batch, crop = config.irn.batch_size, config.irn.crop
    with counting(nonzero=100) as products:
        objective = RelationObjective(_build_net(config.irn), config.irn).train()
        target = torch.randint(CLASSES, (batch, crop, crop))
        objective({"image": torch.randn(batch, 3, crop, crop), "target": target}, 0)["loss"].backward()
    return products.total


def edge_image(config: Config) -> int:
    """Return the operations of an image's edges."""
    with counting() as products:
        edge_map(_build_net(config.irn).eval(), torch.randn(3, *SIZE), pad=config.irn.pad)
    return products.total


def segmentation_step(config: Config, epoch: int) -> int:
    """Return the operations of a training step of the two segmentation networks."""
    settings = config.segmentation
    batch, crop = settings.batch_size, settings.crop
    with counting() as products:
        objective = CoTrainingObjective(build_net(settings, CLASSES + 1), settings).train()
        inputs = {"image": torch.randn(batch, 3, crop, crop), "target": torch.randint(CLASSES, (batch, crop, crop))}
        objective(inputs, epoch)["loss"].backward()
    return products.total


@torch.no_grad()
def predicted_image(config: Config) -> int:
    """Return the operations of an image's prediction."""
    settings = config.segmentation
    with counting() as products:
        net = build_net(settings, CLASSES + 1).eval()
        for scale in settings.test_scales:
            side = round(settings.test_size * scale / net.stride) * net.stride
            square: Tensor = torch.randn(1, 3, side, side)
            net(square)
    return products.total


def rows_of(preset: str) -> list[dict[str, Any]]:
    """Return a row for each stage, and for the CAM network's for each variant."""
    config = override(load_config(preset), RANDOM)
    cam, irn, seg = config.cam, config.irn, config.segmentation
    seeds, refined = len(config.seeds), len([v for v in config.variants if v in config.refined])
    about = {"preset": preset, "utc": datetime.now(UTC).isoformat(timespec="seconds"), **provenance()}
    rows: list[dict[str, Any]] = []

    def row(stage: str, count: Callable[..., int], *arguments: Any, times: int, runs: int, **labels: Any) -> None:
        value = count(config, *arguments) / 1e12
        labels = {"stage": stage, "times": times, "runs": runs, **labels}
        rows.append({"metric": "TFLOP", "value": round(value, 4), "unit": "TFLOP", **labels, **about})
        print(
            f"{preset:13} {stage:17} {labels.get('variant', ''):19} {value:9.3f} TFLOP x {times} x {runs}", flush=True
        )

    for variant in config.variants:
        labels = {"variant": variant, "precision": cam.precision}
        steps = cam.epochs * (TRAIN // cam.batch_size)
        row("cam", cam_step, variant, times=steps, runs=seeds, batch=cam.batch_size, **labels)
        row("cams", cam_image, variant, times=TRAIN, runs=seeds, **labels)
    steps = irn.epochs * (TRAIN // irn.batch_size)
    row("irn", irn_step, times=steps, runs=seeds * refined, batch=irn.batch_size, precision=irn.precision)
    row("pseudo", edge_image, times=TRAIN, runs=seeds * refined, precision=irn.precision)
    steps, sources = seg.epochs * (TRAIN // seg.batch_size), refined + 1  # the true masks too
    labels = {"batch": seg.batch_size, "precision": seg.precision}
    row("segmentation", segmentation_step, seg.mix_warmup, times=steps, runs=seeds * sources, **labels)
    tested = "tf32" if seg.precision == "tf32" else "no"
    row("predictions", predicted_image, times=VAL, runs=seeds * sources, precision=tested)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"rows into {RESULTS.name}")
    options = parser.parse_args()
    rows = [row for preset in PRESETS for row in rows_of(preset)]
    if options.write:
        kept = [row for row in read_json(RESULTS)["rows"] if row["metric"] != "TFLOP"] if RESULTS.exists() else []
        write_json(RESULTS, {"rows": [*kept, *rows]})


if __name__ == "__main__":
    main()
