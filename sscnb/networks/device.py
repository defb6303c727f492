"""Which device computes, and how precisely."""

from typing import TypeVar

import torch
from torch import nn

from sscnb.errors import UserError

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
    """Resolve "auto": bf16 on a GPU that computes it, else full precision.

    On processors bf16 stays a choice ("bf16"): where it is emulated it is slower, and results then differ by machine.
    """
    if wanted not in ("auto", "no", "bf16"):
        raise UserError(f"precision must be 'auto', 'no' or 'bf16', not {wanted!r}.")
    if wanted == "auto":
        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    return wanted
