"""Work on many images in several processes. Light to import: every worker process does it."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from sscnb.errors import UserError

_IMAGES_A_WORKER = 16  # fewer take less time than another process takes to start


def worth_starting(workers: int, images: int) -> int:
    """Return how many of so many processes are worth their start for a number of images: 1 is this one."""
    return max(1, min(workers, images // _IMAGES_A_WORKER))


def in_processes(function: Callable, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield `function(job)` for every job as they finish, from `workers` processes; in order in this one for 1.

    What a job raises is raised here. Workers end with the process that started them, however that ends.

    Args:
        function: of a module's top level, as are the jobs' types: both are pickled.

    Raises:
        UserError: a worker died.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    # A plain fork is unsafe beside the threads of torch and Jupyter: a server that has only the function's module
    # loaded forks the workers instead (Windows starts them afresh).
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([function.__module__])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        for done in as_completed([pool.submit(function, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died: out of memory, or the calling script does not guard its start with "
            "`if __name__ == '__main__':`. Try fewer workers, or workers=1. What was finished is kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a thread wait for the end of the process that asked for this worker, and end the worker then.

    A worker waits for jobs on a pipe that it holds open itself, so that it would never hear of a killed parent. The
    kernel's own signal would not do: the parent by birth is the server that forks.
    """
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="waits for the parent's end", daemon=True).start()
