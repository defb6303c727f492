"""What a training step of segmentation takes in memory, without allocating it.

    python benchmarks/segmentation_step.py                    # voc and voc_released, their batch and a quarter of it
    python benchmarks/segmentation_step.py --precision no --batch 8

The real step runs on tensors without data, and the storages that are alive are followed, as for Table IX. What is no
tensor is left out: a CUDA context (about a gigabyte), workspaces, gaps. bf16 stands for fp16 as well: both keep the
same tensors in two bytes. Nothing is mixed, which changes no size; the forward pass in evaluation mode that the release
adds for mixed images keeps nothing for the backward pass and is smaller than the peak.
"""

import argparse

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from sscnb.evidence.memory import MemoryTracker
from sscnb.segmentation import CoTrainingObjective, SegmentationObjective, build_optimizer
from sscnb.settings import SegmentationSettings, load_config
from sscnb.stages.segmentation import build_net

GIB = 2**30


class NothingFound(TorchDispatchMode):
    """Answer what a fake tensor cannot: which entries are not zero. None."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((0, args[0].dim()), dtype=torch.long)
        return func(*args, **(kwargs or {}))


def follow(
    settings: SegmentationSettings, *, batch: int, precision: str = "no", num_labels: int = 21
) -> dict[str, float]:
    """Return in GiB what is alive when the backward pass of the second step begins, "forward", and at most, "peak"."""
    cotrain, memory = settings.method == "cotrain", MemoryTracker()
    with FakeTensorMode(), NothingFound(), memory:
        net = build_net(settings, num_labels, weights="random")
        objective = (CoTrainingObjective(net, settings) if cotrain else SegmentationObjective(net)).train()
        optimizer = build_optimizer([net.first, net.second] if cotrain else [net], settings)
        side = settings.crop
        inputs = {"image": torch.randn(batch, 3, side, side), "target": torch.randint(num_labels, (batch, side, side))}
        for _ in range(2):  # the first makes the optimiser's state
            memory.peak = memory.live
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = objective(inputs, 0)["loss"]
            forward = memory.live
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            del loss
    return {"forward": forward / GIB, "peak": memory.peak / GIB}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=0, help="another batch than the preset's and a quarter of it")
    parser.add_argument("--precision", choices=("no", "bf16"), default="", help="one of the two alone")
    options = parser.parse_args()
    print("preset         method    stride  batch  precision  forward  peak GiB")
    for preset, method in (("voc", "single"), ("voc", "cotrain"), ("voc_released", "cotrain")):
        settings = load_config(preset, {"segmentation.method": method}).segmentation
        own = settings.batch_size
        for batch in (options.batch,) if options.batch else (own, own // 4):
            for precision in (options.precision,) if options.precision else ("no", "bf16"):
                found = follow(settings, batch=batch, precision=precision)
                print(
                    f"{preset:14} {method:9} {settings.output_stride:6} {batch:6}  {precision:9}"
                    f"  {found['forward']:7.1f}  {found['peak']:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
