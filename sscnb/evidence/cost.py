"""What a training step costs: peak memory, estimated where there is no GPU, and seconds (Table IX).

The estimate runs the real step on fake tensors, which have shapes, types and storages but no memory, and follows the
storages that are alive. It leaves out what is no tensor (a CUDA context, a library's workspaces, the allocator's
rounding and gaps); for the released method that was about as much as one CUDA context.
"""

import statistics
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sscnb.errors import UserError
from sscnb.method.objective import build_objective, build_optimizers
from sscnb.settings.config import override
from sscnb.settings.schema import Config
from sscnb.settings.variants import Variant, find_variant

GIB = 2**30

Build = Callable[[Config, Variant, int], nn.Module]


class MemoryTracker(TorchDispatchMode):
    """Count the bytes of live tensor storages, and the most that were alive at once.

    A storage counts from the first operator that takes or returns it until nobody holds it any more, neither a tensor
    nor the graph of the backward pass. Views share one. What a kernel allocates for itself is not seen.

    Attributes:
        live: bytes that are alive now.
        peak: the most so far; set it to `live` to begin again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self._see((args, kwargs))
        result = func(*args, **kwargs)
        self._see(result)
        return result

    def _see(self, tree: Any) -> None:
        for leaf in tree_leaves(tree):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        self.peak = max(self.peak, self.live)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._storages:
            return

        def freed(_: weakref.ref) -> None:
            del self._storages[key]
            self.live -= size

        self._storages[key] = weakref.ref(storage, freed)
        self.live += size


class _Answers(TorchDispatchMode):
    """Answer what fake tensors cannot: how many entries are not zero, and the value of a scalar."""

    def __init__(self, nonzero: int, value: int) -> None:
        super().__init__()
        self.nonzero, self.value = nonzero, value

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((self.nonzero, args[0].dim()), dtype=torch.long)
        if func is torch.ops.aten._local_scalar_dense.default:
            return self.value
        return func(*args, **(kwargs or {}))


def example_batch(
    batch: int, crop: int, num_classes: int, *, present: int = 2, grid: int = 8, device: str | torch.device = "cpu"
) -> dict[str, Tensor]:
    """Make a batch of noise: `image` B,3,S,S; `labels` B,C with `present` ones an image; `superpixels` B,S,S.

    The superpixels are `grid` x `grid` rectangles, 64 as in the paper by default.
    """
    cells = torch.arange(crop, device=device) * grid // crop
    return {
        "image": torch.randn(batch, 3, crop, crop, device=device),
        "labels": (torch.arange(num_classes, device=device) < present).float().repeat(batch, 1),
        "superpixels": (cells[:, None] * grid + cells).repeat(batch, 1, 1),
    }


def training_step(
    objective: nn.Module, optimizers: list[Optimizer], batch: dict[str, Tensor], epoch: int, *, precision: str = "no"
) -> dict[str, Tensor]:
    """Take one step of `sscnb.networks.training.fit`, without its data loading, and return the losses.

    `precision` is "no" or "bf16" (autocast).
    """
    device = batch["image"].device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        losses = objective(batch, epoch)
    losses["loss"].backward()
    for optimizer in optimizers:
        optimizer.step()
    objective.zero_grad(set_to_none=True)
    return {name: value.detach() for name, value in losses.items()}


def estimate_step(
    config: Config,
    variant: str,
    *,
    batch: int | None = None,
    crop: int | None = None,
    num_classes: int = 20,
    precision: str = "no",
    present: int = 2,
    build: Build = build_objective,
) -> dict[str, float]:
    """Estimate the memory of a variant's training step without allocating it.

    The second step is what counts: the first one makes the optimizers' state. Alignment is on.

    Args:
        batch, crop: B, and S in pixels; the settings' own by default.
        precision: "no" or "bf16". Autocast is that of the processor; with a GPU's lists of operators the forward pass
            keeps as much (tried on fake CUDA tensors).
        present: classes an image.
        build: makes the objective; another one than the package's can be compared with it.

    Returns:
        In GiB: "parameters" (all networks', with their buffers), "state" (the optimizers'), "forward" (alive when
        the backward pass begins) and "peak"; these include what comes before them, except for "state".

    Raises:
        UserError: no such variant or precision.
    """
    _check_precision(precision)
    batch, crop = batch or config.cam.batch_size, crop or config.cam.crop
    memory = MemoryTracker()
    # The largest of 64 superpixel ids; Adam's step count is the only other value asked for.
    with FakeTensorMode(), _Answers(nonzero=batch * present, value=63), memory:
        objective, optimizers, epoch = _prepare(config, variant, num_classes, build)
        parameters = sum(t.untyped_storage().nbytes() for t in [*objective.parameters(), *objective.buffers()])
        inputs = example_batch(batch, crop, num_classes, present=present)
        training_step(objective, optimizers, inputs, epoch, precision=precision)
        state = sum(
            value.untyped_storage().nbytes()
            for optimizer in optimizers
            for values in optimizer.state.values()
            for value in values.values()
            if isinstance(value, Tensor)
        )
        forward: list[int] = []
        objective.register_forward_hook(lambda *_: forward.append(memory.live))
        memory.peak = memory.live
        training_step(objective, optimizers, inputs, epoch, precision=precision)
    counts = {"parameters": parameters, "state": state, "forward": forward[0], "peak": memory.peak}
    return {name: count / GIB for name, count in counts.items()}


def prepare_step(
    config: Config,
    variant: str,
    *,
    batch: int | None = None,
    crop: int | None = None,
    num_classes: int = 20,
    precision: str = "no",
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    seed: int = 0,
    build: Build = build_objective,
) -> Callable[[], dict[str, Tensor]]:
    """Build a variant's training step with random weights and a batch of noise; each call takes one step.

    Arguments are those of `estimate_step`; `channels_last` as in `sscnb.networks.training.fit`.

    Raises:
        UserError: no such variant or precision.
    """
    _check_precision(precision)
    torch.manual_seed(seed)
    # The batch first: it is the same for objectives that draw more numbers, or fewer, for their weights
    inputs = example_batch(batch or config.cam.batch_size, crop or config.cam.crop, num_classes, device=device)
    objective, optimizers, epoch = _prepare(config, variant, num_classes, build)
    objective.to(device)  # in place: the optimizers' parameters stay the same objects
    if channels_last:
        objective.to(memory_format=torch.channels_last)
    return lambda: training_step(objective, optimizers, inputs, epoch, precision=precision)


def measure_step(
    config: Config,
    variant: str,
    *,
    device: str | torch.device = "cpu",
    repetitions: int = 3,
    **choices: Any,
) -> dict[str, float]:
    """Measure a variant's training step: "seconds" (median), and on a GPU "allocated" and "reserved" memory in GiB.

    One step goes before and is not counted. The other arguments are those of `prepare_step`. Memory covers everything
    that the process keeps on that GPU; "reserved" is what torch's allocator holds, without the CUDA context.

    Raises:
        UserError: the device is a GPU and there is none.
    """
    gpu = torch.device(device).type == "cuda"
    if gpu and not torch.cuda.is_available():
        raise UserError(f"device {str(device)!r} was asked for, but torch sees no GPU: use estimate_step or the cpu.")
    step = prepare_step(config, variant, device=device, **choices)
    step()
    if gpu:
        torch.cuda.empty_cache()  # or "reserved" would hold what only the first step, or an earlier run, needed
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        step()["loss"].item()  # waits for a GPU to finish
        seconds.append(time.perf_counter() - began)
    result = {"seconds": statistics.median(seconds)}
    if gpu:
        result["allocated"] = torch.cuda.max_memory_allocated(device) / GIB
        result["reserved"] = torch.cuda.max_memory_reserved(device) / GIB
    return result


def _prepare(config: Config, variant: str, num_classes: int, build: Build) -> tuple[nn.Module, list[Optimizer], int]:
    """Return objective, optimizers and the first epoch with alignment; weights are random, since they cost the same."""
    config = override(config, {"cam.weights": "random", "reconstruction.loss_weights": "random"})
    found, config = find_variant(variant, config)
    objective = build(config, found, num_classes).train()
    return objective, build_optimizers(objective, config), config.modulation.warmup_epochs


def _check_precision(precision: str) -> None:
    if precision not in ("no", "bf16"):
        raise UserError(f"precision must be 'no' or 'bf16' here, not {precision!r}.")
