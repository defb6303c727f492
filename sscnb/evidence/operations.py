"""How many operations a step of each stage has, and how much memory, without taking it: on tensors without data.

Counted are the products of convolutions and matrices, two operations each, forward and backward. What else there is
moves memory and is left out: norms, interpolation, losses, the random walk (0.13 GFLOP a class at VOC's size).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sscnb.datasets import inner_size
from sscnb.evidence.cost import GIB, build_step, example_batch, training_step
from sscnb.evidence.memory import Answers, MemoryTracker
from sscnb.method import build_objective, scale_maps
from sscnb.refinement import edge_map
from sscnb.settings import Config, find_variant, override
from sscnb.stages import build_relations, build_segmentation

RANDOM = {f"{part}.weights": "random" for part in ("cam", "irn", "segmentation")}  # they cost the same
RANDOM |= {"reconstruction.loss_weights": "random"}
Size = tuple[int, int]


class Step(NamedTuple):
    """What a training step of a batch has, or an image of inference: operations in TFLOP; memory in GiB, or 0."""

    tflop: float
    gib: float = 0.0


class Products(TorchDispatchMode):
    """Count the operations of convolutions and matrix products.

    torch's own count of a convolution's backward pass takes one with groups for one without.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if func is torch.ops.aten.convolution.default:
            self.total += _convolution(args[0] if args[6] else result, args[1])
        elif func is torch.ops.aten.convolution_backward.default:
            self.total += _convolution(args[1] if args[7] else args[0], args[2]) * sum(args[10][:2])
        elif count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def _convolution(cells: Tensor, weight: Tensor) -> int:
    """Every cell of the output (of the input, where it is transposed) meets one channel's weights."""
    return 2 * cells.numel() * weight[0].numel()


@contextmanager
def counting(nonzero: int = 0, value: int = 0) -> Iterator[tuple[Products, MemoryTracker]]:
    """Count what runs in the block, on tensors without data, of which `nonzero` entries are not zero."""
    memory = MemoryTracker()
    with FakeTensorMode(), Answers(nonzero, value), memory, Products() as products:
        yield products, memory


def cam_step(config: Config, variant: str, classes: int) -> Step:
    """Count a training step of a variant's CAM network, all its losses on."""
    batch, crop = config.cam.batch_size, config.cam.crop
    _, own = find_variant(variant, config)
    epoch = max(own.reconstruction.warmup_epochs, own.modulation.warmup_epochs)

    def build() -> tuple[nn.Module, list[Optimizer], dict[str, Tensor]]:
        return *build_step(config, variant, classes, build_objective)[:2], example_batch(batch, crop, classes)

    return _trained(build, epoch, config.cam.precision, nonzero=2 * batch, value=63)


def irn_step(config: Config, classes: int) -> Step:
    """Count a training step of the relation network."""
    batch, crop = config.irn.batch_size, config.irn.crop

    def build() -> tuple[nn.Module, list[Optimizer], dict[str, Tensor]]:
        return *build_relations(override(config, RANDOM).irn), _masked(batch, crop, classes)

    return _trained(build, 0, config.irn.precision, nonzero=100)


def segmentation_step(config: Config, classes: int) -> Step:
    """Count a training step of the segmentation network, or of the two that teach each other."""
    settings = override(config, RANDOM).segmentation

    def build() -> tuple[nn.Module, list[Optimizer], dict[str, Tensor]]:
        return *build_segmentation(settings, classes + 1), _masked(settings.batch_size, settings.crop, classes)

    return _trained(build, settings.mix_warmup, settings.precision)


@torch.no_grad()
def cam_image(config: Config, variant: str, classes: int, size: Size) -> Step:
    """Count an image's CAMs."""
    parts, own = find_variant(variant, override(config, RANDOM))
    inference = own.inference
    height, width = inner_size(size, inference.long_side)
    with counting() as (products, _):
        net = build_objective(own, parts, classes).eval().net
        images = [torch.randn(1, 3, round(height * scale), round(width * scale)) for scale in inference.scales]
        products.total = 0
        scale_maps(net, images, flip=inference.flip)
    return Step(products.total / 1e12)


@torch.no_grad()
def edge_image(config: Config, size: Size) -> Step:
    """Count an image's edges."""
    settings = override(config, RANDOM).irn
    with counting() as (products, _):
        net = build_relations(settings)[0].net.eval()
        edge_map(net, torch.randn(3, *inner_size(size, settings.long_side)), pad=settings.pad)
    return Step(products.total / 1e12)


@torch.no_grad()
def predicted_image(config: Config, classes: int, size: Size) -> Step:
    """Count an image's prediction."""
    settings = override(config, RANDOM).segmentation
    height, width = (settings.test_size,) * 2 if settings.test_size else inner_size(size, settings.long_side)
    with counting() as (products, _):
        net = build_segmentation(settings, classes + 1)[0].net.eval()
        for scale in settings.test_scales:
            cells = [max(1, round(side * scale / net.stride)) * net.stride for side in (height, width)]
            net(torch.randn(1, 3, *cells))
    return Step(products.total * (1 + settings.flip) / 1e12)


def _trained(build: Callable[[], tuple], epoch: int, precision: str, **answers: int) -> Step:
    """Count the second of two steps: the first one makes the optimisers' state."""
    with counting(**answers) as (products, memory):
        objective, optimizers, batch = build()
        objective.train()
        for _ in range(2):
            products.total, memory.peak = 0, memory.live
            training_step(objective, optimizers, batch, epoch, precision="bf16" if "16" in precision else "no")
    return Step(products.total / 1e12, memory.peak / GIB)


def _masked(batch: int, crop: int, classes: int) -> dict[str, Tensor]:
    return {"image": torch.randn(batch, 3, crop, crop), "target": torch.randint(classes, (batch, crop, crop))}
