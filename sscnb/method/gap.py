"""How much of the image is in the rebuilt one: its distance to its own image against its distance to others."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from sscnb.errors import UserError
from sscnb.method.perceptual import PerceptualLoss, reduced


@torch.no_grad()
def reconstruction_gap(
    rebuild: Callable[[Tensor], Tensor], loss: PerceptualLoss, batches: Iterable[Tensor]
) -> dict[str, float]:
    """Measure whether a decoder looks at its input, on images that it was not trained on.

    The gap is 1 - L_p(rebuilt, own image) / mean L_p(rebuilt, another image), over all other images of the batch: 0 for
    a decoder that makes the same texture of everything, whatever its loss, and 1 for the images themselves.

    Args:
        rebuild: images B,3,S,S -> rebuilt images of the same size, as `Objective.rebuild`.
        loss: a batch's stages are scaled alike for all its distances.
        batches: of images B,3,S,S with B > 1, all of one size. Padding has to be kept out: it differs from image to
            image, class maps show it well, and a decoder that rebuilds nothing else would have a gap.

    Returns:
        Means over the images of L_p between an image and what was rebuilt of it (`own`), of others (`other`), a blank
        image (`blank`), its own mean colour (`colour`), the mean of all rebuilt images (`fixed`), and between the
        rebuilt image and its own image mirrored (`mirror`), which shows the same things at other places; `gap`.

    Raises:
        UserError: a batch of fewer than two images, or none.
    """
    batches = list(batches)
    if not batches or min(map(len, batches)) < 2:
        raise UserError("the reconstruction gap compares images with each other; expected batches of two or more.")
    rebuilt = [reduced(rebuild(images), loss.shrink) for images in batches]
    fixed = torch.stack([copies.mean(dim=0) for copies in rebuilt]).mean(dim=0)
    sums: dict[str, float] = {}
    for images, copies in zip(batches, rebuilt, strict=True):
        targets, shown = loss.targets(images), loss.features(copies)
        sizes, small = loss.sizes(targets), reduced(images, loss.shrink)

        def distance(other: list[Tensor], shown: list[Tensor] = shown, sizes: Tensor = sizes) -> Tensor:
            terms = torch.stack([(x - y).abs().mean() for x, y in zip(shown, other, strict=True)])
            return loss.weighted(terms / sizes.to(terms.dtype))

        others = [distance([y.roll(k, 0) for y in targets]) for k in range(1, len(images))]
        found = {
            "own": distance(targets),
            "other": torch.stack(others).mean(),
            "blank": loss(torch.zeros_like(small), targets),
            "colour": loss(small.mean(dim=(2, 3), keepdim=True).expand_as(small), targets),
            "fixed": loss(fixed.expand_as(small), targets),
            "mirror": distance(loss.targets(images.flip(-1))),
        }
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(images)
    number = sum(map(len, batches))
    values = {name: value / number for name, value in sums.items()}
    return values | {"gap": 1 - values["own"] / values["other"]}
