"""One launch in several processes (accelerate, torchrun, mpirun): which one this is, its share, the others.

Training is divided by accelerate. What has no gradient is divided here, image by image or batch by batch, so that every
file comes out as it would from one process.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from sscnb.errors import UserError

T = TypeVar("T")
# As accelerate reads them: of torchrun and its own launcher, and of three kinds of mpirun.
_RANK = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_RANKS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_LOCAL = ("LOCAL_WORLD_SIZE", "MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")
# The main process may measure for hours while the others wait. One that ends is noticed at once; this is for one that
# hangs.
PATIENCE = timedelta(hours=24)


def rank() -> int:
    """Return the number of this process within its launch, from 0 on."""
    return _first(_RANK, 0) if ranks() > 1 else 0


def ranks() -> int:
    """Return how many processes were launched together; 1 where none of the launchers was used."""
    return _first(_RANKS, 1)


def local_ranks() -> int:
    """Return how many of them run on this machine."""
    return _first(_LOCAL, ranks())


def is_main() -> bool:
    """Tell whether this is the process that measures, writes results and talks."""
    return rank() == 0


def share(items: Sequence[T]) -> list[T]:
    """Return the items that are this process's: every n-th of a sequence that is the same in all n processes.

    Share first and leave out what is done afterwards: another process may finish an item in between.
    """
    return list(items[rank() :: ranks()])


def wait_for_others(where: str, patience: timedelta = PATIENCE) -> None:
    """Wait until every process of the launch has come here; one process alone goes on at once.

    Args:
        where: for the message.

    Raises:
        UserError: another process has ended, or did not come within `patience`.
    """
    if ranks() == 1:
        return
    import torch.distributed as distributed

    try:
        # Names who is missing, and has no thread that kills the process, as a group on GPUs would.
        distributed.monitored_barrier(_group(), timeout=patience)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"process {rank()} of {ranks()} waited for the others {where}, and one of them has ended or hangs: look "
            "for its own message. What was written is kept; the same command goes on from there. "
            f"({str(error).splitlines()[0]})"
        ) from error


@cache
def _group() -> Any:
    """Return the processes as a group on the processors, where waiting may take long."""
    import torch
    import torch.distributed as distributed
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())  # the group that training uses, unless it is there already
    return distributed.new_group(backend="gloo", timeout=PATIENCE)


def _first(names: Sequence[str], default: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), default)
