"""How far a rebuilt image is from its original: the perceptual loss (Eq. 5 and 6) and its alternatives."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.errors import UserError, nearest
from sscnb.method.recompute import one_image_at_a_time


def _one(value: str, valid: list[str], what: str) -> str:
    if value not in valid:
        raise UserError(f"{what} {value!r} is unknown: {nearest(value, valid)}")
    return value


def reduced(images: Tensor, shrink: int) -> Tensor:
    """Return images B,3,H,W as the mean colours of `shrink` x `shrink` pixels."""
    return F.avg_pool2d(images, shrink) if shrink > 1 else images


def pixel_loss(reconstruction: Tensor, image: Tensor, kind: str = "l1") -> Tensor:
    """Mean absolute ("l1") or mean squared ("l2") distance of pixels: the alternatives of Table VIII.

    Shape: reconstruction and image B,3,H,W, the image as normalised for the backbone -> scalar.

    Raises:
        UserError: an unknown `kind`.
    """
    difference = F.l1_loss if _one(kind, ["l1", "l2"], "pixel loss") == "l1" else F.mse_loss
    return difference(reconstruction, image)


class _MeanDistance(torch.autograd.Function):
    """Mean absolute distance of x to a constant y, float32 for half precision.

    `l1_loss` keeps the difference for the backward pass; its sign is all that is needed, and that is one byte a value.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        difference = x - y
        ctx.save_for_backward(difference.sign().to(torch.int8))
        ctx.dtype = x.dtype
        return difference.abs_().mean(dtype=torch.promote_types(x.dtype, torch.float32))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (sign,) = ctx.saved_tensors
        return sign.to(ctx.dtype).mul_(grad / sign.numel()), None


class _Enough(Exception):
    """Leaves the loss network after the last feature map that is needed."""


class PerceptualLoss(nn.Module):
    """Mean absolute error between feature maps of a frozen loss network, summed over stages.

    Use it in two steps, so that the target's features are computed once and without gradient:
    `targets = loss.targets(image)`, then `loss(reconstruction, targets)`. The image is ImageNet-normalised; the
    reconstruction, a Tanh's output, is compared with it as it is (the release does so).

    `backbone` is frozen in place and stays in eval mode, so it must not be the network under training, and must
    have been built with `detach=0`, since the gradient runs through it.
    `taps`: "last" is each stage's last block, which in VGG-19 is the map before each pooling layer (paper); "first" is
    each stage's first block, relu1_1 .. relu5_1 (release).
    `stages` is J; the stem counts as the first one.
    `stage_weights`: "paper" is 1/2^((J+1)-j), so 1/32 .. 1/2 for J = 5; "released" has 1 for the last stage.
    `scale`: "none" is Eq. 5, meant for VGG-19. The other two make beta_p = 1 mean the same for any network: they divide
    by the mean absolute activation of the targets in the batch (detached, no state), so that L_p is the sum of the
    stage weights for a reconstruction whose features are 0, and at most about twice that for unrelated ones.
    "activation" divides each stage by its own mean, as if the network had been rescaled to a mean activation of one
    everywhere (Gatys et al., CVPR 2016, do that to VGG-19). "network" divides all stages by one number, the mean
    over stages under the stage weights, and so keeps the balance of stages that the network has. The two differ
    where the last stage is much quieter than the others: "activation" lifts it to half of the loss. Published VGG-19
    has no unit activations, so "none" with it and a scaled loss with another network share beta_p only up to that.
    `shrink` is how much smaller, in each direction, the reconstruction is than the image, of which it is compared with
    the mean colours of shrink x shrink pixels. 1 is Table I's; at 4 the loss network costs a sixteenth.
    `checkpoint=True` saves memory: one image at a time, recomputed in the backward pass, same result.

    Shape: image B,3,H,W, reconstruction B,3,H/shrink,W/shrink -> scalar.

    Raises:
        UserError: an unknown choice, `stages` outside 1..5, or a backbone that lets no gradient through.

    Source: Eq. 5 and 6, Section IV-B.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        taps: str = "last",
        stage_weights: str = "paper",
        scale: str = "none",
        stages: int = 5,
        shrink: int = 1,
        checkpoint: bool = False,
    ):
        super().__init__()
        if stages not in range(1, 6):
            raise UserError(f"the perceptual loss has {stages} stages, expected 1 to 5.")
        self.taps = _one(taps, ["last", "first"], "perceptual taps")
        self.scale = _one(scale, ["none", "activation", "network"], "perceptual scale")
        weights = [1 / 2 ** (stages + 1 - j) for j in range(1, stages + 1)]
        if _one(stage_weights, ["paper", "released"], "perceptual stage weights") == "released":
            weights[-1] = 1.0
        self.stages, self.stage_weights, self.checkpoint = stages, tuple(weights), checkpoint
        self.shrink = shrink
        self.network = backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PerceptualLoss":
        """Stay in eval mode: batch-norm statistics of the loss network never move."""
        return super().train(False)

    def _visit(self, images: Tensor, see: Callable[[Tensor], None]) -> None:
        """Run the loss network and show it phi_1 .. phi_J, each as soon as it is computed."""
        seen = 0

        def tap(x: Tensor, stage: int, block: int, last: bool) -> Tensor:
            nonlocal seen
            if last if self.taps == "last" else block == 0:
                see(x)
                seen += 1
                if seen == self.stages:
                    raise _Enough
            return x

        with contextlib.suppress(_Enough):
            self.network(images, tap=tap)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the J feature maps phi_1 .. phi_J of the images, B,K_j,h_j,w_j."""
        maps: list[Tensor] = []
        self._visit(images, maps.append)
        return maps

    @torch.no_grad()
    def targets(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of the original images, without gradient."""
        return self.features(reduced(image, self.shrink))

    def _distances(self, reconstruction: Tensor, *targets: Tensor) -> Tensor:
        distances: list[Tensor] = []
        remaining = iter(targets)

        # On the way through the network, not after it: backward then takes a stage's gradient when it gets there.
        # Afterwards it would begin with all of them at once, and that was the peak of the whole step.
        def compare(x: Tensor) -> None:
            distances.append(_MeanDistance.apply(x, next(remaining).to(x.dtype)))

        self._visit(reconstruction, compare)
        if torch.is_grad_enabled() and reconstruction.requires_grad and not distances[0].requires_grad:
            raise UserError("the loss network lets no gradient through: build its backbone with detach=0.")
        return torch.stack(distances)[None]  # 1,J

    def stage_losses(self, reconstruction: Tensor, targets: list[Tensor]) -> Tensor:
        """Return the J terms of Eq. 6 before weighting, scaled as chosen."""
        if self.checkpoint and torch.is_grad_enabled():
            distances = one_image_at_a_time(self._distances, reconstruction, *targets)
        else:
            distances = self._distances(reconstruction, *targets)
        losses = distances.mean(0)  # images are of one size: the mean of their means is the mean
        return losses if self.scale == "none" else losses / self.sizes(targets).to(losses.dtype)

    def sizes(self, targets: list[Tensor]) -> Tensor:
        """Return what the J terms are divided by, from the targets of a batch: ones for `scale` "none"."""
        sizes = torch.stack([y.detach().abs().mean(dtype=torch.promote_types(y.dtype, torch.float32)) for y in targets])
        if self.scale == "none":
            return torch.ones_like(sizes)
        if self.scale == "network":
            sizes = (self.weighted(sizes) / sum(self.stage_weights)).expand_as(sizes)
        return sizes.clamp_min(1e-5)

    def weighted(self, values: Tensor) -> Tensor:
        """Sum J terms, or J,... of them, under the stage weights (Eq. 6)."""
        return sum(weight * value for weight, value in zip(self.stage_weights, values, strict=True))

    def forward(self, reconstruction: Tensor, targets: list[Tensor]) -> Tensor:
        return self.weighted(self.stage_losses(reconstruction, targets))
