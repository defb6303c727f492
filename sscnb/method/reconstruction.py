"""CAM-driven reconstruction: rebuild the image from the CAM features (Eq. 4, Table I)."""

import torch
from torch import Tensor, nn

from sscnb.errors import UserError
from sscnb.method.norm import InstanceNorm, SampleNorm
from sscnb.method.recompute import one_image_at_a_time


class _ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            SampleNorm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            SampleNorm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _upsample_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1, bias=False),
        InstanceNorm(),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        SampleNorm(outputs),
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

    Shape: features B,K,h,w with h, w >= 2 -> B,3,h*scale,w*scale in -1..1, where `scale = 2**upsamplings`.

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
            SampleNorm(width),
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
            return one_image_at_a_time(self.layers, features)
        return self.layers(features)
