"""How much memory a training step takes, without allocating it (Table IX).

The estimate runs the real step on fake tensors, which have shapes, types and storages but no memory, and follows the
storages that are alive. It leaves out what is no tensor (a CUDA context, a library's workspaces, the allocator's
rounding and gaps); for the released method that was about as much as one CUDA context.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sscnb.evidence.cost import GIB, Build, build_step, check_precision, example_batch, training_step
from sscnb.method import build_objective
from sscnb.settings import Config


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

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
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


class Answers(TorchDispatchMode):
    """Answer what fake tensors cannot: how many entries are not zero, and the value of a scalar."""

    def __init__(self, nonzero: int, value: int) -> None:
        super().__init__()
        self.nonzero, self.value = nonzero, value

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((self.nonzero, args[0].dim()), dtype=torch.long)
        if func is torch.ops.aten._local_scalar_dense.default:
            return self.value
        return func(*args, **(kwargs or {}))


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
    check_precision(precision)
    batch, crop = batch or config.cam.batch_size, crop or config.cam.crop
    memory = MemoryTracker()
    # The largest of 64 superpixel ids; Adam's step count is the only other value asked for.
    with FakeTensorMode(), Answers(nonzero=batch * present, value=63), memory:
        objective, optimizers, epoch = build_step(config, variant, num_classes, build)
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
