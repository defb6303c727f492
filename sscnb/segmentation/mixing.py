"""ClassMix: pixels of some classes of one image are pasted into another, with their labels (Olsson et al., WACV 2021).

Two ways to choose them, and the two kinds of contour that co-training weights: between trusted labels, and around what
was pasted. Labels are B,H,W integers with 254 (not trusted) and 255 (ignored) for what is no class.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sscnb.datasets import IGNORE
from sscnb.networks import UNTRUSTED


class Mixed(NamedTuple):
    """A batch after mixing: images B,3,H,W, target B,H,W, and where something was pasted, B,H,W bool."""

    images: Tensor
    target: Tensor
    pasted: Tensor


def mix_next(images: Tensor, target: Tensor, probability: float) -> Mixed:
    """Paste into some images the trusted pixels of half of the classes of the batch's next image, background included.

    Args:
        images, target: B,3,H,W and B,H,W.
        probability: that an image receives something; drawn from torch's generator.
    """
    donors = torch.arange(1, len(images) + 1) % len(images)
    receives = torch.rand(len(images)) < probability
    pasted = _chosen_pixels(target, donors, receives, first=0)
    return _paste(images, target, donors, pasted)


def mix_halves(images: Tensor, target: Tensor, probability: float, labels: Tensor | None = None) -> Mixed:
    """Mix the first half of a batch with the second: each image may receive half of its partner's classes.

    Image i and image i + B/2 are partners, and each of the two may receive; the last image of an odd batch has none.
    The background is never pasted: a piece of it tells nothing. An image whose partner has no other class stays whole.

    Args:
        images, target: B,3,H,W and B,H,W.
        probability: that an image receives something; drawn from torch's generator.
        labels: B,H,W as `target`; if given, mixed images take their labels, own and pasted, from here instead, and
            unmixed ones keep `target`.

    Source: SSC's release; FACTS, section 6.
    """
    half, labels = len(images) // 2, target if labels is None else labels
    donors = torch.arange(len(images))
    donors[: 2 * half] = donors[: 2 * half].roll(half)
    receives = (torch.rand(len(images)) < probability) & (donors != torch.arange(len(images)))
    pasted = _chosen_pixels(labels, donors, receives, first=1)
    mixed = pasted.flatten(1).any(1)[:, None, None]
    images, labels, pasted = _paste(images, labels, donors, pasted)
    return Mixed(images, torch.where(mixed, labels, target), pasted)


def at_contour(target: Tensor, width: int) -> Tensor:
    """Mark the trusted pixels whose window of side `width` (odd) holds another trusted class as well.

    Shapes: target B,H,W with 254 and 255 for what is no class -> B,H,W float, 0 or 1.
    """
    known = target < UNTRUSTED
    labels = target.float()[:, None]
    highest = F.max_pool2d(labels.masked_fill(~known[:, None], -1), width, 1, width // 2)
    lowest = -F.max_pool2d((-labels).masked_fill(~known[:, None], -IGNORE), width, 1, width // 2)
    return ((highest != lowest)[:, 0] & known).float()


def outline(pasted: Tensor, width: int = 3) -> Tensor:
    """Mark the pixels, on either side, whose window of side `width` (odd) holds pasted pixels and others.

    Shapes: pasted B,H,W bool -> B,H,W float, 0 or 1. The image's own border is no outline.
    """
    values = pasted.float()[:, None]
    highest = F.max_pool2d(values, width, 1, width // 2)
    lowest = -F.max_pool2d(-values, width, 1, width // 2)
    return (highest != lowest)[:, 0].float()


def _chosen_pixels(labels: Tensor, donors: Tensor, receives: Tensor, *, first: int) -> Tensor:
    """Mark, for each image that receives, its donor's pixels of half of the donor's classes from `first` on, B,H,W."""
    pasted = torch.zeros_like(labels, dtype=torch.bool)
    for index in receives.nonzero().flatten().tolist():
        given = labels[donors[index]]
        classes = given.unique()
        classes = classes[(classes >= first) & (classes < UNTRUSTED)]
        order = torch.randperm(len(classes)).to(classes.device)
        # Rounded up: an image mostly has one class or two, and half of one would be none.
        pasted[index] = torch.isin(given, classes[order[: (len(classes) + 1) // 2]])
    return pasted


def _paste(images: Tensor, labels: Tensor, donors: Tensor, pasted: Tensor) -> Mixed:
    donors = donors.to(images.device)
    images = torch.where(pasted[:, None], images[donors], images)
    return Mixed(images, torch.where(pasted, labels[donors], labels), pasted)
