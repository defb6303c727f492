"""What the reconstruction loss can reach: L_p of pictures that are made on purpose, beside that of rebuilt images."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sscnb.method.perceptual import PerceptualLoss, reduced


def mean_colours(images: Tensor, size: int) -> Tensor:
    """Replace images by their mean colours over cells of `size` pixels, blended bilinearly between the cells' centres.

    Shape: images B,3,H,W with H, W >= `size` -> the same.
    """
    small = F.avg_pool2d(images, size)
    return F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)


@torch.no_grad()
def mean_distances(
    loss: PerceptualLoss, images: Iterable[Tensor], pictures: Mapping[str, Callable[[Tensor], Tensor]]
) -> dict[str, float]:
    """Return the mean L_p between images and what is made of them, by the name of how (Eq. 6).

    Args:
        images: each B,3,H,W as normalised for the loss network; at least one.
        pictures: what makes B,3,H,W of such images.
    """
    measured: dict[str, list[float]] = {name: [] for name in pictures}
    for image in images:
        targets = loss.targets(image)
        for name, make in pictures.items():
            measured[name].append(loss(reduced(make(image), loss.shrink), targets).item())
    return {name: float(np.mean(values)) for name, values in measured.items()}
