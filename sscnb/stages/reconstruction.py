"""What chapter 3 looks at: images as a trained decoder rebuilds them, and what the channels of a class add to them."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from sscnb.datasets import Sample, resize_long
from sscnb.method import Objective
from sscnb.networks import to_image, to_tensor
from sscnb.stages.irn import cached_dataset
from sscnb.stages.run import Run

_CELL = 16  # pixels: what a decoder of four up-samplings rebuilds is a multiple of it


def decoder_input(run: Run, image_id: str) -> Tensor:
    """Return an image as 1,3,H,W that decoders rebuild at its size: the long side a crop's, both sides whole cells."""
    image = resize_long(Sample(cached_dataset(run).image(image_id)), run.config.cam.crop // _CELL * _CELL).image
    height, width = (side // _CELL * _CELL for side in image.shape[:2])
    return to_tensor(image[:height, :width])[None]


@torch.no_grad()
def rebuild_image(run: Run, networks: Iterable[Objective], image_id: str) -> list[np.ndarray]:
    """Return an image and what each network's decoder makes of it, H,W,3 uint8 each (Eq. 4).

    Args:
        networks: of `load_objective`.
    """
    images = decoder_input(run, image_id)
    return [to_image(part[0]) for part in (images, *(network.rebuild(images) for network in networks))]


@torch.no_grad()
def class_contribution(
    run: Run, network: Objective, image_id: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what the channels of the classes that are present add to the rebuilt image.

    Args:
        network: of `load_objective`, of a variant that rebuilds from the CAM features.

    Returns:
        The image, the image rebuilt from all channels, that from the features with those channels 0, H,W,3 uint8 each;
        and where the two differ, H,W in 0..1, the mean over the colours divided by its maximum.
    """
    images = decoder_input(run, image_id)
    present = np.flatnonzero(cached_dataset(run).labels(image_id)).tolist()
    whole, rest = network.rebuild(images)[0], network.rebuild(images, without=present)[0]
    change = (whole - rest).abs().mean(dim=0)
    change = change / change.max().clamp_min(torch.finfo(change.dtype).tiny)
    return to_image(images[0]), to_image(whole), to_image(rest), change.numpy()
