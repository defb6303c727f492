"""Which device computes, and how precisely."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from sscnb.errors import UserError, nearest

# "no": float32 all through. "tf32": float32 whose products a GPU may round to ten bits; elsewhere the same as "no".
PRECISIONS = ["no", "tf32", "bf16", "fp16"]

Network = TypeVar("Network", bound=nn.Module)


def device() -> torch.device:
    """Return the device that inference runs on: the first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(net: Network) -> Network:
    """Move a network to that device, its parameters channels last as in training, and return it."""
    return net.to(device()).to(memory_format=torch.channels_last)


def device_name() -> str:
    """Return the device's name for result rows."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def precision_for(wanted: str) -> str:
    """Return accelerate's name for a precision: "no", "bf16" or "fp16" (mixed precision with float32 weights).

    Raises:
        UserError: an unknown name; bf16 on a GPU that would have to emulate it; fp16 without a GPU.
    """
    if wanted not in PRECISIONS:
        raise UserError(f"precision is {wanted!r}; {nearest(str(wanted), PRECISIONS)}")
    gpu = torch.cuda.is_available()
    # Torch counts emulation as support unless it is told not to; it is slower than float32.
    if wanted == "bf16" and gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(
            f"precision 'bf16' is not computed by {device_name()}: ask for 'no' (float32), or 'fp16' with care."
        )
    if wanted == "fp16" and not gpu:
        raise UserError("precision 'fp16' needs a GPU; there is none. Ask for 'no' (float32) or 'bf16'.")
    return "no" if wanted == "tf32" else wanted


@contextmanager
def products_in(precision: str, on: torch.device) -> Iterator[None]:
    """Set, for a GPU and as long as the block lasts, whether float32 products may be rounded to TF32.

    Torch's own choice is not used: it lets convolutions be rounded and matrix products not. These switches are the
    process's; they are put back in the end. A processor has none.
    """
    if on.type != "cuda":
        yield
        return
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = precision == "tf32"
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value
