"""A training step on a batch of noise, and the seconds and GPU memory that it takes (Table IX)."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sscnb.errors import UserError
from sscnb.method import Objective, build_objective, build_optimizers
from sscnb.networks import products_in
from sscnb.settings import Config, Variant, find_variant, override

GIB = 2**30
Build = Callable[[Config, Variant, int], Objective]


def example_batch(
    batch: int, crop: int, num_classes: int, *, present: int = 2, grid: int = 8, device: str | torch.device = "cpu"
) -> dict[str, Tensor]:
    """Make a batch of noise: `image` B,3,S,S; `labels` B,C with `present` ones an image; `superpixels` B,S,S.

    The superpixels are `grid` x `grid` rectangles, 64 as in the paper by default.
    """
    cells = torch.arange(crop, device=device) * grid // crop
    return {
        "image": torch.randn(batch, 3, crop, crop, device=device),
        "labels": (torch.arange(num_classes, device=device) < present).float().repeat(batch, 1),
        "superpixels": (cells[:, None] * grid + cells).repeat(batch, 1, 1),
    }


def training_step(
    objective: nn.Module, optimizers: list[Optimizer], batch: dict[str, Tensor], epoch: int, *, precision: str = "no"
) -> dict[str, Tensor]:
    """Take one step of `sscnb.networks.fit`, without its data loading, and return the losses.

    `precision` is "no", all products of a GPU in float32, or "bf16" (autocast).
    """
    device = batch["image"].device
    with products_in(precision, device):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            losses = objective(batch, epoch)
        losses["loss"].backward()
    for optimizer in optimizers:
        optimizer.step()
    objective.zero_grad(set_to_none=True)
    return {name: value.detach() for name, value in losses.items()}


def prepare_step(
    config: Config,
    variant: str,
    *,
    batch: int | None = None,
    crop: int | None = None,
    num_classes: int = 20,
    precision: str = "no",
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    seed: int = 0,
    build: Build = build_objective,
) -> Callable[[], dict[str, Tensor]]:
    """Build a variant's training step with random weights and a batch of noise; each call takes one step.

    Arguments are those of `estimate_step`; `channels_last` as in `sscnb.networks.fit`.

    Raises:
        UserError: no such variant or precision.
    """
    check_precision(precision)
    torch.manual_seed(seed)
    # The batch first: it is the same for objectives that draw more numbers, or fewer, for their weights
    inputs = example_batch(batch or config.cam.batch_size, crop or config.cam.crop, num_classes, device=device)
    objective, optimizers, epoch = build_step(config, variant, num_classes, build)
    objective.to(device)  # in place: the optimizers' parameters stay the same objects
    if channels_last:
        objective.to(memory_format=torch.channels_last)
    return lambda: training_step(objective, optimizers, inputs, epoch, precision=precision)


def measure_step(
    config: Config,
    variant: str,
    *,
    device: str | torch.device = "cpu",
    repetitions: int = 3,
    **choices: Any,
) -> dict[str, float]:
    """Measure a variant's training step: "seconds" (median), and on a GPU "allocated" and "reserved" memory in GiB.

    One step goes before and is not counted. The other arguments are those of `prepare_step`. Memory covers everything
    that the process keeps on that GPU; "reserved" is what torch's allocator holds, without the CUDA context.

    Raises:
        UserError: the device is a GPU and there is none.
    """
    gpu = torch.device(device).type == "cuda"
    if gpu and not torch.cuda.is_available():
        raise UserError(f"device {str(device)!r} was asked for, but torch sees no GPU: use estimate_step or the cpu.")
    step = prepare_step(config, variant, device=device, **choices)
    step()
    if gpu:
        torch.cuda.empty_cache()  # or "reserved" would hold what only the first step, or an earlier run, needed
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        step()["loss"].item()  # waits for a GPU to finish
        seconds.append(time.perf_counter() - began)
    result = {"seconds": statistics.median(seconds)}
    if gpu:
        result["allocated"] = torch.cuda.max_memory_allocated(device) / GIB
        result["reserved"] = torch.cuda.max_memory_reserved(device) / GIB
    return result


def build_step(config: Config, variant: str, num_classes: int, build: Build) -> tuple[nn.Module, list[Optimizer], int]:
    """Return objective, optimizers and the first epoch with alignment; weights are random, since they cost the same."""
    config = override(config, {"cam.weights": "random", "reconstruction.loss_weights": "random"})
    found, config = find_variant(variant, config)
    objective = build(config, found, num_classes).train()
    return objective, build_optimizers(objective, config), config.modulation.warmup_epochs


def check_precision(precision: str) -> None:
    if precision not in ("no", "bf16"):
        raise UserError(f"precision must be 'no' or 'bf16' here, not {precision!r}.")
