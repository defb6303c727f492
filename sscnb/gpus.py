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

    Yields None and changes nothing where there is no choice: one GPU or none, all of them taken, or a process of
    accelerate or torchrun, which gives each its own. A lock on a file stands for the claim, so that it ends with the
    process, however that ends.
    """
    import torch

    count = 0 if "LOCAL_RANK" in os.environ else torch.cuda.device_count()
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
