"""How far a training step's gradient turns when its products are rounded: TF32 and bf16 against float32.

    python benchmarks/gradient_precision.py                      # half a minute; on the book's page of differences

The cosine between the gradient in the CAM network of each loss and the same in float32, on one batch of two images of
smooth noise, preset `small`: its networks' ImageNet weights come with a package. TF32 and bf16 products are imitated on
the processor: what goes into a convolution, forward and backward, is rounded to 10 or 7 bits and summed in float32.
"bf16" is autocast, which rounds what comes out as well.
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sscnb.evidence import example_batch
from sscnb.method import Objective, build_objective
from sscnb.settings import find_variant, load_config

LOSSES = ("classification", "alignment", "reconstruction")
NAMES = {
    F.conv2d: ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    F.conv_transpose2d: ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
}


def rounded(x: Tensor, bits: int) -> Tensor:
    """Round float32 numbers to so many bits of mantissa, to the nearest, ties to even."""
    dropped = 23 - bits
    integers = x.detach().contiguous().view(torch.int32)
    half = (1 << (dropped - 1)) - 1 + ((integers >> dropped) & 1)
    return ((integers + half) >> dropped << dropped).view(torch.float32)


class RoundedConvolution(torch.autograd.Function):
    """A convolution whose factors are rounded, in the backward pass as well."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, function: Callable, options: dict, bits: int):
        ctx.function, ctx.options, ctx.bits, ctx.bias = function, options, bits, bias is not None
        x, weight = rounded(x, bits), rounded(weight, bits)
        ctx.save_for_backward(x, weight)
        return function(x, weight, bias, **options)

    @staticmethod
    def backward(ctx, grad: Tensor):
        pairs = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        factors = [factor.detach().requires_grad_(wanted) for factor, wanted in pairs]
        with torch.enable_grad():
            y = ctx.function(*factors, None, **ctx.options)
        asked = [t for t in factors if t.requires_grad]
        found = iter(torch.autograd.grad(y, asked, rounded(grad, ctx.bits)))
        parts = [next(found) if t.requires_grad else None for t in factors]
        return (*parts, grad.sum((0, 2, 3)) if ctx.bias else None, None, None, None)


class RoundedProducts(TorchFunctionMode):
    """Every convolution called inside is a rounded one."""

    def __init__(self, bits: int):
        super().__init__()
        self.bits = bits

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if function not in NAMES:
            return function(*args, **kwargs)
        given = dict(zip(NAMES[function], args, strict=False)) | kwargs
        tensors = (given.pop("input"), given.pop("weight"), given.pop("bias", None))
        return RoundedConvolution.apply(*tensors, function, given, self.bits)


def gradients(objective: Objective, batch: dict[str, Tensor], precision: Any) -> dict[str, Tensor]:
    """Return each loss's gradient in the CAM network as one vector."""
    trained = [p for p in objective.net.parameters() if p.requires_grad]
    with precision:
        losses = objective(batch, objective.modulation.warmup_epochs)
    vectors = {}
    for name in LOSSES:
        found = torch.autograd.grad(losses[name], trained, retain_graph=True, materialize_grads=True)
        vectors[name] = torch.cat([g.flatten() for g in found]).double()
    return vectors


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    variant, config = find_variant("ssc", load_config("small"))
    crop, classes = config.cam.crop, len(config.data.scenes.classes)
    torch.manual_seed(0)
    batch = example_batch(2, crop, classes)
    batch["image"] = F.interpolate(torch.randn(2, 3, crop // 8, crop // 8), size=(crop, crop), mode="bicubic")
    objective = build_objective(config, variant, classes).train()
    exact = gradients(objective, batch, nullcontext())
    precisions = {
        "TF32": RoundedProducts(10),
        "bf16 products": RoundedProducts(7),
        "bf16": torch.autocast("cpu", torch.bfloat16),
    }
    for name, precision in precisions.items():
        found = gradients(objective, batch, precision)
        cosines = {k: float(F.cosine_similarity(found[k], exact[k], dim=0)) for k in LOSSES}
        print(f"{name:14}" + "".join(f" {k} {v:.3f}" for k, v in cosines.items()), flush=True)


if __name__ == "__main__":
    main()
