"""Checkpoints: what a training leaves after each epoch, and goes on from."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sscnb.errors import UserError
from sscnb.files import replacing


def load_checkpoint(path: Path, config_hash: str | None = None) -> dict[str, Any]:
    """Read a checkpoint that `fit` wrote.

    Raises:
        UserError: it is missing, damaged, not finite, or of another configuration than `config_hash`.
    """
    if not path.is_file():
        raise UserError(f"checkpoint {path} is missing: run the training stage that writes it first.")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums of what it reads
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is not what was written")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        found, model = checkpoint["config"], checkpoint["model"]
        if not all(isinstance(value, Tensor) for value in model.values()):
            raise ValueError("its network is not made of tensors")
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(
            f"checkpoint {path} cannot be read ({type(error).__name__}: {str(error)[:200]}). Delete it to train again."
        ) from error
    if config_hash is not None and found != config_hash:
        raise UserError(
            f"checkpoint {path} belongs to configuration {found}, not {config_hash}: it was made with another preset "
            "or other settings. Choose another run folder, or delete it to train again."
        )
    for name, value in model.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(
                f"checkpoint {path} holds values that are not finite, in {name}: the training went wrong. Delete it to "
                "train again, with lower rates or clip set."
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
        raise UserError(_other_network(source, str(error).splitlines()[-1].strip())) from error
    missing = [k for k in missing if not k.startswith(tuple(optional))]
    if missing or unexpected:
        raise UserError(_other_network(source, f"{(missing + unexpected)[0]} has no counterpart."))


def _other_network(source: Path, why: str) -> str:
    return f"checkpoint {source} is of another network: {why} Choose another file; one that a stage wrote: delete it."


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    history: list[dict[str, float]],
    config_hash: str,
    exclude: Sequence[str] = (),
) -> None:
    """Write the state of a training after an epoch; entries of the model under the `exclude` prefixes are left out."""
    state = {k: v for k, v in model.state_dict().items() if not k.startswith(tuple(exclude))}
    content = {
        "config": config_hash,
        "model": state,
        "optimizers": [part.state_dict() for part in (*optimizers, *_scalers(optimizers))],
        "history": history,
    }
    # A file of Python's, not torch's own writer, which does not say that the disk is full.
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # Torch closes its archive when it is interrupted, which fails, and hides what happened.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise


@dataclass(frozen=True)
class Trunk:
    """The checkpoint of another training that one begins with, since both are the same until there.

    Attributes:
        epochs: how many it has behind it.
        lacks: parts of the model that only the one that begins has; each has an optimiser, behind the others.
    """

    path: Path
    config_hash: str
    epochs: int
    lacks: tuple[str, ...] = ()


def resume(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    config_hash: str,
    exclude: Sequence[str] = (),
    trunk: Trunk | None = None,
) -> list[dict[str, float]]:
    """Load the state of a training that is to go on, in place, and return its history: empty where there is none.

    Args:
        trunk: is loaded where `path` is not there. What it lacks, such as a decoder and its optimiser, stays new.

    Raises:
        UserError: as `load_checkpoint` and `load_state`, or the history is not that of the epochs until there.
    """
    lacks: tuple[str, ...] = ()
    epochs = None
    if not path.is_file():
        if trunk is None:
            return []
        path, config_hash, lacks, epochs = trunk.path, trunk.config_hash, trunk.lacks, trunk.epochs
    checkpoint = load_checkpoint(path, config_hash)
    load_state(model, checkpoint["model"], path, optional=(*exclude, *(f"{part}." for part in lacks)))
    try:
        parts = [*optimizers[: len(optimizers) - len(lacks)], *_scalers(optimizers)]
        for part, state in zip(parts, checkpoint["optimizers"], strict=True):
            part.load_state_dict(state)
        history = checkpoint["history"]
        numbers = [epoch["epoch"] for epoch in history if "seconds" in epoch]
        if numbers != list(range(len(history) if epochs is None else epochs)):
            raise ValueError(f"it tells of epochs {numbers}")
        return history
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"checkpoint {path} lacks what a training goes on from ({error}). Delete it.") from error


def _scalers(optimizers: Sequence[Optimizer]) -> list[Any]:
    """Return what scales the losses in fp16: accelerate's optimisers hold it, the same one all."""
    found = [getattr(optimizer, "scaler", None) for optimizer in optimizers[:1]]
    return [scaler for scaler in found if scaler is not None]
