"""Memory for time: activations that are computed again in the backward pass, one image at a time."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as run_checkpointed


def one_image_at_a_time(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Apply `function` to one image at a time and keep no activations: the backward pass computes them again.

    Exact where images do not see each other, which holds for the decoder (all its norms are per sample) and for
    a frozen loss network. Only one image's activations are alive at any time, in either direction.
    """
    rows = zip(*(batch.split(1) for batch in batches), strict=True)
    return torch.cat([run_checkpointed(function, *row, use_reentrant=False, preserve_rng_state=False) for row in rows])
