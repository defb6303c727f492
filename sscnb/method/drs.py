"""Discriminative region suppression (DRS): spread attention by capping each channel's peak (Eq. 3)."""

import torch
from torch import Tensor, nn

from sscnb.errors import UserError, nearest

FIDELITIES = ["paper", "released"]


def _check_delta(delta: float) -> None:
    if not 0 < delta <= 1:
        raise UserError(f"delta of the suppression is {delta}, expected 0 < delta <= 1 (the paper's value is 0.55).")


def suppress(x: Tensor, delta: float = 0.55) -> Tensor:
    """Cap every channel of every image at `delta` times its spatial maximum.

    A channel whose maximum is not positive (possible in maps without ReLU) stays as it is, value and gradient:
    there `delta * max >= max`, so the cap lies above every element. The gradient flows through the cap as Eq. 3
    is written, that is, also into the maximum.

    Shape: x B,K,H,W (any number of leading dimensions) -> the same.

    Raises:
        UserError: `delta` is not in (0, 1].

    Source: Eq. 3; Kim et al., AAAI 2021.

    Example: one channel with the maximum 4, capped at half of it.
        >>> suppress(torch.tensor([[[[1.0, 4.0, 2.5]]]]), delta=0.5).tolist()
        [[[[1.0, 2.0, 2.0]]]]
    """
    _check_delta(delta)
    cap = delta * x.amax(dim=(-2, -1), keepdim=True)
    # not minimum(): at equality it would send half of the gradient into the cap, also where nothing is capped
    return torch.where(x > cap, cap, x)


class Suppression(nn.Module):
    """DRS as the `tap` of a staged backbone: decides after which blocks the map is capped.

    "released": the output of stage 2 in training only, and every block of stage 4 in training and test. The text says
    "an intermediate feature map" and names none, so that the release fills it in.
    "paper": the output of stage 4 alone, in training and test: one map, as the text has it. Of the places the release
    uses, this is the one that is suppressed in both modes and that the classifier reads.

    Shape: x B,K,h,w -> the same; `stage` 0 is the stem, `last` marks the last block of a stage.

    Raises:
        UserError: an unknown `fidelity`, or `delta` not in (0, 1].

    Source: the authors' release for "released"; Section III-A for "paper".
    """

    def __init__(self, fidelity: str = "released", delta: float = 0.55):
        super().__init__()
        if fidelity not in FIDELITIES:
            raise UserError(f"fidelity {fidelity!r} of the suppression is unknown: {nearest(fidelity, FIDELITIES)}")
        _check_delta(delta)
        self.fidelity, self.delta = fidelity, delta

    def forward(self, x: Tensor, stage: int, block: int, last: bool) -> Tensor:
        if self.fidelity == "paper":
            here = stage == 4 and last
        else:
            here = stage == 4 or (stage == 2 and last and self.training)
        return suppress(x, self.delta) if here else x

    def extra_repr(self) -> str:
        return f"fidelity={self.fidelity!r}, delta={self.delta}"
