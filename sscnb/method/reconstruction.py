"""CAM-driven reconstruction: rebuild the image from the CAM features and compare it (Eq. 4-6, Table I)."""

import contextlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as run_checkpointed

from sscnb.errors import UserError, nearest


def _one(value: str, valid: list[str], what: str) -> str:
    if value not in valid:
        raise UserError(f"{what} {value!r} is unknown: {nearest(value, valid)}")
    return value


def _one_image_at_a_time(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Apply `function` to one image at a time and keep no activations: the backward pass computes them again.

    Exact where images do not see each other, which holds for the decoder (all its norms are per sample) and for
    a frozen loss network. Only one image's activations are alive at any time, in either direction.
    """
    rows = zip(*(batch.split(1) for batch in batches), strict=True)
    return torch.cat([run_checkpointed(function, *row, use_reentrant=False, preserve_rng_state=False) for row in rows])


class _Norm(nn.Module):
    """Group norm that keeps the precision of its input: on a GPU, autocast would store float32 copies of it.

    The sums inside are float32 either way. One group is the decoder's "LayerNorm", over C,H,W of each sample with an
    affine term per channel; a group a channel, without affine terms, is InstanceNorm. Torch's own InstanceNorm turns
    channels-last maps around and back, and returns a view, where an in-place ReLU costs backward a copy.
    """

    def __init__(self, channels: int, groups: int, *, affine: bool):
        super().__init__()
        self.groups = groups
        self.weight = self.bias = None
        if affine:
            self.weight = nn.Parameter(torch.empty(channels).uniform_())  # the release's choice
            self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        terms = (None if term is None else term.to(x.dtype) for term in (self.weight, self.bias))
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, self.groups, *terms)


def _layer_norm(channels: int) -> _Norm:
    return _Norm(channels, 1, affine=True)


def _instance_norm(channels: int) -> _Norm:
    return _Norm(channels, channels, affine=False)


class _ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            _layer_norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            _layer_norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _upsample_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1, bias=False),
        _instance_norm(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        _layer_norm(outputs),
        nn.ReLU(inplace=True),
    )


class ReconstructionNet(nn.Module):
    """Reconstruct the image from CAM features (or from any feature map).

    Table I: a ConvBlock, a ResBlock, four up-sample blocks, a ConvBlock with Tanh. Up-sample blocks end with `width`,
    `width`/2, `width`/4, `width`/8 channels. 4,631,811 parameters at 20 channels and width 256, as the release has:
    that count fixes that the transposed convolution keeps its channels, that neither it nor the head has a
    bias, and that InstanceNorm has no affine terms.

    `upsamplings` is log2 of the stride of the features: 4 for stride 16, 3 for stride 8 (an output stride of 8, or
    stage 2 for Table VII's "CDR early"). `checkpoint=True` saves memory: one image at a time, recomputed in the
    backward pass, same result.

    Shape: features B,K,h,w with h, w >= 2 -> B,3,h*scale,w*scale in -1..1, where `scale` = 2**upsamplings.

    Raises:
        UserError: `width` is not a positive multiple of 8, `upsamplings` is not 1..5, or a feature map is below 2x2.

    Source: Eq. 4, Table I; widths, padding and initialisation: the release.
    """

    def __init__(self, channels: int, width: int = 256, *, upsamplings: int = 4, checkpoint: bool = False):
        super().__init__()
        if width < 8 or width % 8:
            raise UserError(f"the width of the reconstruction network is {width}, expected a multiple of 8.")
        if upsamplings not in range(1, 6):
            raise UserError(f"the reconstruction network has {upsamplings} upsamplings, expected 1 to 5.")
        self.scale, self.checkpoint = 2**upsamplings, checkpoint
        widths = [width, *(width >> min(i, 3) for i in range(upsamplings))]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect", bias=False),
            _layer_norm(width),
            nn.ReLU(inplace=True),
            _ResidualBlock(width),
            *(_upsample_block(*pair) for pair in zip(widths, widths[1:], strict=False)),
            nn.Conv2d(widths[-1], 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, features: Tensor) -> Tensor:
        if min(features.shape[-2:]) < 2:
            size = "x".join(map(str, features.shape[-2:]))
            raise UserError(f"cannot reconstruct from {size} feature cells, expected 2x2 or more: use larger crops.")
        if self.checkpoint and torch.is_grad_enabled():
            return _one_image_at_a_time(self.layers, features)
        return self.layers(features)


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
    def forward(ctx, x: Tensor, y: Tensor) -> Tensor:
        difference = x - y
        ctx.save_for_backward(difference.sign().to(torch.int8))
        ctx.dtype = x.dtype
        return difference.abs_().mean(dtype=torch.promote_types(x.dtype, torch.float32))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
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
    `checkpoint=True` saves memory: one image at a time, recomputed in the backward pass, same result.

    Shape: image, reconstruction B,3,H,W -> scalar.

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
        return self.features(image)

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
            distances = _one_image_at_a_time(self._distances, reconstruction, *targets)
        else:
            distances = self._distances(reconstruction, *targets)
        losses = distances.mean(0)  # images are of one size: the mean of their means is the mean
        if self.scale == "none":
            return losses
        sizes = torch.stack([y.detach().abs().mean(dtype=losses.dtype) for y in targets])
        if self.scale == "network":
            sizes = self._weighted(sizes) / sum(self.stage_weights)
        return losses / sizes.clamp_min(1e-5)

    def _weighted(self, values: Tensor) -> Tensor:
        return sum(weight * value for weight, value in zip(self.stage_weights, values, strict=True))

    def forward(self, reconstruction: Tensor, targets: list[Tensor]) -> Tensor:
        return self._weighted(self.stage_losses(reconstruction, targets))
