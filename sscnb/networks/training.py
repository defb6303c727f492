"""One training loop for every network of the book, on accelerate: CPU, one GPU or many, the same code.

An objective is a module whose forward takes a batch and an epoch and returns named losses, among them "loss". All that
is random depends on (seed, epoch, step), so training that goes on from an epoch's checkpoint ends in the same result.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sscnb.errors import UserError
from sscnb.files import replacing
from sscnb.networks.training_data import EpochSampler


@dataclass(frozen=True)
class Schedule:
    """How long to train and how the learning rates fall: lr = lr0 (1 - step/steps)^power."""

    epochs: int
    batch_size: int
    power: float = 0.9
    clip: float = 0.0  # largest gradient norm; 0 is off
    precision: str = "auto"
    workers: int = 0


def precision_for(wanted: str) -> str:
    """Resolve "auto": bf16 on a GPU that computes it, else full precision.

    On processors bf16 stays a choice ("bf16"): where it is emulated it is slower, and results then differ by machine.
    """
    if wanted not in ("auto", "no", "bf16"):
        raise UserError(f"precision must be 'auto', 'no' or 'bf16', not {wanted!r}.")
    if wanted == "auto":
        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    return wanted


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
) -> list[dict[str, float]]:
    """Train an objective, with a checkpoint after each epoch, and return the mean losses of every epoch.

    Args:
        objective: `objective(batch, epoch)` returns a dict of scalar losses; "loss" is minimised.
        optimizers: their `lr` is the initial rate.
        data: items asked for by (epoch, index), as `TrainingImages`.
        folder: receives `checkpoint.pt`; an interrupted run goes on from there.
        config_hash: stored in the checkpoint; one of another configuration is refused.
        exclude: prefixes of the state dict that are not saved (frozen helper networks).

    Raises:
        UserError: a loss is not finite (names the images of the batch), or the checkpoint is of another configuration.
    """
    # Without a GPU the processor, as in inference: accelerate alone would take Apple's MPS.
    accelerator = Accelerator(mixed_precision=precision_for(schedule.precision), cpu=not torch.cuda.is_available())
    sampler = EpochSampler(len(data), seed)
    # The last, smaller batch is dropped only where there is a full one before it.
    loader = DataLoader(
        data,
        batch_size=min(schedule.batch_size, len(data)),
        sampler=sampler,
        drop_last=True,
        num_workers=schedule.workers,
        pin_memory=accelerator.device.type == "cuda",
    )
    # Channels last: the same numbers, about a third less time for depthwise convolutions on a processor.
    objective = objective.to(memory_format=torch.channels_last)
    model, loader, *optimizers = accelerator.prepare(objective, loader, *optimizers)
    path = folder / "checkpoint.pt"
    history = _resume(path, objective, optimizers, config_hash, exclude)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group in groups:
        group.setdefault("initial_lr", group["lr"])
    steps = len(loader)
    total = schedule.epochs * steps
    bar = tqdm(
        total=total,
        initial=len(history) * steps,
        desc=title,
        unit="step",
        mininterval=0.5,
        disable=not accelerator.is_main_process,
    )
    for epoch in range(len(history), schedule.epochs):
        began = time.monotonic()
        torch.manual_seed(seed * 1_000_003 + epoch)
        sampler.set_epoch(epoch)
        loader.set_epoch(epoch)  # accelerate counts epochs itself, from 0, and would put the sampler back to its count
        model.train()
        sums: dict[str, Tensor] = {}
        for step, batch in enumerate(loader):
            factor = (1 - (epoch * steps + step) / total) ** schedule.power
            for group in groups:
                group["lr"] = group["initial_lr"] * factor
            with accelerator.autocast():
                losses = model(batch, epoch)
            if not math.isfinite(losses["loss"].item()):
                bar.close()
                parts = ", ".join(f"{k} {v.item():.3g}" for k, v in losses.items())
                raise UserError(
                    f"{title} stopped: the loss is not finite in epoch {epoch}, step {step} ({parts}). "
                    f"Images of the batch: {', '.join(batch['id'])}. Checkpoint of the last whole epoch: {path}. "
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
            bar.set_postfix(epoch=f"{epoch + 1}/{schedule.epochs}", loss=f"{losses['loss'].item():.3f}", refresh=False)
        means = accelerator.reduce({k: v / steps for k, v in sums.items()}, reduction="mean")
        history.append(
            {"epoch": epoch, **{k: v.item() for k, v in means.items()}, "seconds": round(time.monotonic() - began, 2)}
        )
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            _save(path, accelerator.unwrap_model(model), optimizers, history, config_hash, exclude)
    bar.close()
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return history


def device() -> torch.device:
    """Return the device that inference runs on: the first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return the device's name for result rows."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def load_checkpoint(path: Path, config_hash: str | None = None) -> dict[str, Any]:
    """Read a checkpoint that `fit` wrote.

    Raises:
        UserError: it is missing, damaged, or of another configuration than `config_hash`.
    """
    if not path.is_file():
        raise UserError(f"checkpoint {path} is missing: run the training stage that writes it first.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        found = checkpoint["config"]
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(
            f"checkpoint {path} cannot be read ({type(error).__name__}). Delete it to train again."
        ) from error
    if config_hash is not None and found != config_hash:
        raise UserError(
            f"checkpoint {path} belongs to configuration {found}, not {config_hash}: it was made with another preset "
            "or other settings. Choose another run folder, or delete it to train again."
        )
    return checkpoint


def load_state(module: nn.Module, state: dict[str, Tensor], source: Path, *, optional: Sequence[str] = ()) -> None:
    """Load a state dict into a module; entries under the `optional` prefixes may be absent.

    Raises:
        UserError: names or shapes do not fit.
    """
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UserError(f"checkpoint {source} is of another network: {str(error).splitlines()[-1].strip()}") from error
    missing = [k for k in missing if not k.startswith(tuple(optional))]
    if missing or unexpected:
        raise UserError(f"checkpoint {source} is of another network: {(missing + unexpected)[0]} has no counterpart.")


def _save(path, model, optimizers, history, config_hash, exclude) -> None:
    state = {k: v for k, v in model.state_dict().items() if not k.startswith(tuple(exclude))}
    content = {
        "config": config_hash,
        "model": state,
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "history": history,
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def _resume(path, objective, optimizers, config_hash, exclude) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    checkpoint = load_checkpoint(path, config_hash)
    load_state(objective, checkpoint["model"], path, optional=exclude)
    for optimizer, state in zip(optimizers, checkpoint["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return checkpoint["history"]
