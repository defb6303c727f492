"""One training loop for every network of the book, on accelerate: CPU, one GPU or many, the same code.

An objective is a module whose forward takes a batch and an epoch and returns named losses, among them "loss". All that
is random depends on (seed, epoch, step), so training that goes on from an epoch's checkpoint ends in the same result.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sscnb.errors import UserError
from sscnb.networks.checkpoints import Trunk, resume, save_checkpoint
from sscnb.networks.device import precision_for, products_in
from sscnb.networks.training_data import EpochSampler


@dataclass(frozen=True)
class Schedule:
    """How long to train and how the learning rates fall: lr = max(min_lr, lr0 (1 - step/steps)^power)."""

    epochs: int
    batch_size: int
    power: float = 0.9
    clip: float = 0.0  # largest gradient norm; 0 is off
    precision: str = "no"  # "no" (float32), "tf32", "bf16" or "fp16"
    workers: int = 0
    min_lr: float = 0.0


def fit(
    objective: nn.Module,
    optimizers: Sequence[Optimizer],
    data: Dataset,
    schedule: Schedule,
    *,
    seed: int,
    folder: Path,
    config_hash: str,
    title: str = "training",
    exclude: Sequence[str] = (),
    observe: Callable[[nn.Module, int], dict[str, float]] | None = None,
    trunk: Trunk | None = None,
    keep: Collection[int] = (),
) -> list[dict[str, float]]:
    """Train an objective, with a checkpoint after each epoch, and return the mean losses of every epoch.

    Args:
        objective: `objective(batch, epoch)` returns a dict of scalar losses; "loss" is minimised.
        optimizers: their `lr` is the initial rate.
        data: items asked for by (epoch, index), as `TrainingImages`.
        folder: receives `checkpoint.pt`; an interrupted run goes on from there.
        config_hash: stored in the checkpoint; one of another configuration is refused.
        exclude: prefixes of the state dict that are not saved (frozen helper networks).
        observe: gets the objective, in evaluation mode, and each finished epoch; what it returns joins the history.
        trunk: a checkpoint to begin with where there is none to go on from.
        keep: after so many epochs a checkpoint stays, `after{n}.pt`, as the trunk of other trainings.

    Raises:
        UserError: a loss is not finite (names the images of the batch), or the checkpoint is of another configuration.
    """
    accelerator = _accelerator(schedule.precision)
    sampler = EpochSampler(len(data), seed)  # type: ignore[arg-type]  # torch's Dataset does not declare its __len__
    loader = _loader(data, schedule, sampler, pin=accelerator.device.type == "cuda")
    # Channels last: the same numbers, about a third less time for depthwise convolutions on a processor.
    objective = objective.to(memory_format=torch.channels_last)
    model, loader, *optimizers = accelerator.prepare(objective, loader, *optimizers)
    path = folder / "checkpoint.pt"
    history = resume(path, objective, optimizers, config_hash, exclude, trunk)
    _keep_rates(optimizers)
    done, total = (epochs * len(loader) for epochs in (len(history), schedule.epochs))
    main = accelerator.is_main_process
    bar = tqdm(total=total, initial=done, desc=title, unit="step", mininterval=0.5, disable=not main)
    with bar, products_in(schedule.precision, accelerator.device):
        for epoch in range(len(history), schedule.epochs):
            began = time.monotonic()
            torch.manual_seed(seed * 1_000_003 + epoch)
            sampler.set_epoch(epoch)
            loader.set_epoch(epoch)  # accelerate counts epochs itself, from 0, and would set the sampler to its count
            means = _train_epoch(accelerator, model, optimizers, loader, epoch, schedule, bar, path)
            history.append({"epoch": epoch, **means, "seconds": round(time.monotonic() - began, 2)})
            accelerator.wait_for_everyone()
            if main:
                if observe is not None:
                    history[-1] |= observe(objective.eval(), epoch)
                for to in (*[folder / f"after{n}.pt" for n in keep if n == epoch + 1], path):
                    save_checkpoint(to, accelerator.unwrap_model(model), optimizers, history, config_hash, exclude)
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return history


def _accelerator(precision: str) -> Accelerator:
    AcceleratorState._reset_state()  # it would hold every training of a process to the precision of the first
    # Of several processes each would wait for gradients of a decoder that has not set in yet.
    sleeping = DistributedDataParallelKwargs(find_unused_parameters=True)
    # Without a GPU the processor, as in inference: accelerate alone would take Apple's MPS.
    gpu = torch.cuda.is_available()
    return Accelerator(mixed_precision=precision_for(precision), cpu=not gpu, kwargs_handlers=[sleeping])


def _loader(data: Dataset, schedule: Schedule, sampler: EpochSampler, *, pin: bool) -> DataLoader:
    """Return batches in the order of the sampler."""
    return DataLoader(
        data,
        batch_size=min(schedule.batch_size, len(sampler)),
        sampler=sampler,
        drop_last=True,  # the last, smaller batch goes only where there is a full one before it
        num_workers=schedule.workers,
        pin_memory=pin,
    )


def _keep_rates(optimizers: Sequence[Optimizer]) -> None:
    """Note the rates at the start, which the schedule multiplies."""
    for group in _groups(optimizers):
        group.setdefault("initial_lr", group["lr"])


def _groups(optimizers: Sequence[Optimizer]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def _train_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    loader: DataLoader,
    epoch: int,
    schedule: Schedule,
    bar: tqdm,
    checkpoint: Path,
) -> dict[str, float]:
    """Take the steps of one epoch and return the mean of each loss over them and over all processes."""
    steps = len(loader)
    model.train()
    sums: dict[str, Tensor] = {}
    for step, batch in enumerate(loader):
        factor = (1 - (epoch * steps + step) / (schedule.epochs * steps)) ** schedule.power
        for group in _groups(optimizers):
            group["lr"] = max(schedule.min_lr, group["initial_lr"] * factor)
        with accelerator.autocast():
            losses = model(batch, epoch)
        loss = losses["loss"].item()
        if not math.isfinite(loss):
            bar.close()
            parts = ", ".join(f"{k} {v.item():.3g}" for k, v in losses.items())
            raise UserError(
                f"{bar.desc} stopped: the loss is not finite in epoch {epoch}, step {step} ({parts}). "
                f"Images of the batch: {', '.join(batch['id'])}. Checkpoint of the last whole epoch: {checkpoint}. "
                "Look at these images, lower the learning rates or set clip."
            )
        accelerator.backward(losses["loss"])
        if schedule.clip:
            accelerator.clip_grad_norm_(model.parameters(), schedule.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0) + value.detach()
        bar.update()
        bar.set_postfix(epoch=f"{epoch + 1}/{schedule.epochs}", loss=f"{loss:.3f}", refresh=False)
    means = accelerator.reduce({k: v / steps for k, v in sums.items()}, reduction="mean")
    return {k: v.item() for k, v in means.items()}
