"""Several GPUs in one machine: each process of a run takes one that no other has taken."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed_gpu() -> Iterator[int | None]:
    """Make a free GPU the current one while the block runs, and yield its index.

    Yields None and changes nothing where there is no choice: one GPU or none, or all of them taken. A lock on a file
    stands for the claim, so that it ends with the process, however that ends. A process of accelerate or torchrun gets
    the one that these have for it, and claims nothing.
    """
    import torch

    count = torch.cuda.device_count()
    if "LOCAL_RANK" in os.environ:
        index = int(os.environ["LOCAL_RANK"]) % count if count else None
        if count:
            torch.cuda.set_device(index)
        yield index
        return
    # As a scheduler numbers them: index 0 of two jobs may be two different GPUs.
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    for index in range(count if count > 1 else 0):
        name = visible[index] if index < len(visible) else str(index)
        with (Path(tempfile.gettempdir()) / f"sscnb-{os.getuid()}-gpu-{name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            torch.cuda.set_device(index)
            yield index
            return
    yield None
