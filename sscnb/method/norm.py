"""The decoder's norms: over a whole sample as the release has it, and over each channel alone (Table I)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-5


class SampleNorm(nn.Module):
    """Table I's "LayerNorm": y = gamma (x - mean) / (s + 1e-5) + beta, with gamma and beta a channel.

    Mean and s, the unbiased standard deviation, are over C,H,W of each sample. Torch's layers divide by the root of
    the biased variance plus 1e-5; that differs by little at first, and training carries it on.

    As much memory as torch's own: backward keeps x and two numbers a sample. The precision is that of the input, while
    sums are float32: on a GPU, autocast would store float32 copies of it.

    Shape: x B,C,H,W with C*H*W > 1 -> the same.

    Source: the authors' release.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels).uniform_())  # the release's choice
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return _SampleNorm.apply(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class InstanceNorm(nn.Module):
    """Instance norm without affine terms, as a group norm of a group a channel.

    Torch's own turns channels-last maps around and back, and returns a view, where an in-place ReLU costs backward a
    copy. It keeps the precision of its input, as `SampleNorm` does.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, x.shape[1])


class _SampleNorm(torch.autograd.Function):
    """Torch's group norm of one group, which divides by the biased deviation, and a factor a sample on top of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = _laid_out(x, x)
        # Almost no epsilon: a flat sample just has to keep a finite 1 / deviation.
        y, mean, rstd = torch.native_group_norm(x, weight, bias, *_sizes(x), torch.finfo(x.dtype).tiny)
        ctx.save_for_backward(x, weight, mean, rstd)
        _, divisor = _deviation(x, rstd)
        factor = (1 / (divisor * rstd.flatten())).view(-1, 1, 1, 1)
        return y.mul_(factor.to(x.dtype)).add_(((1 - factor) * bias.view(1, -1, 1, 1)).to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, mean, rstd = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        s, divisor = _deviation(x, rstd)
        grad, n = _laid_out(grad, x), x[0].numel()

        def kernel(factor: Tensor, gamma: Tensor, outputs: list[bool]) -> tuple[Tensor | None, ...]:
            factor = factor.to(rstd.dtype).view_as(rstd)
            return torch.ops.aten.native_group_norm_backward(grad, x, mean, factor, gamma, *_sizes(x), outputs)

        # With u = gamma * grad, d = s + eps and S = sum u (x - mean), the gradient is
        #   (u - mean u) / d - (x - mean) S / ((n - 1) s d^2).
        # The kernel's, with any r in the place of 1 / deviation, is r (u - mean u) - (x - mean) S r^3 / n. So r is
        # taken such that the two parts are in the wanted proportion, and what is left is a factor a sample.
        r = (n / ((n - 1) * s.clamp_min(1e-3 * EPS) * divisor)).sqrt()
        gradient, _, of_bias = kernel(r, weight, [wanted[0], False, wanted[2]])
        if gradient is not None:
            gradient.mul_((1 / (divisor * r)).to(x.dtype).view(-1, 1, 1, 1))
        gpu = x.is_cuda  # its kernel fails where this gradient is asked for alone
        of_weight = kernel(1 / divisor, weight, [gpu, True, gpu])[1] if wanted[1] else None
        return gradient, of_weight, of_bias


def _deviation(x: Tensor, rstd: Tensor) -> tuple[Tensor, Tensor]:
    """Return the unbiased standard deviation B of each sample, and what it is divided by: float32 or more."""
    n = x[0].numel()
    wide = rstd.flatten().to(torch.promote_types(rstd.dtype, torch.float32))
    s = ((wide**-2 - torch.finfo(x.dtype).tiny).clamp_min(0) * (n / (n - 1))).sqrt()
    return s, s + EPS


def _sizes(x: Tensor) -> tuple[int, int, int, int]:
    """Return B, C, H*W and the number of groups."""
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3], 1


def _laid_out(x: Tensor, like: Tensor) -> Tensor:
    """Return x in the memory layout that torch's kernels take: channels-last where `like` is, except on a GPU."""
    if not like.is_cuda and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()
