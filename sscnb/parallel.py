"""Work on many images in several processes. Light to import: every worker process does it."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from sscnb.errors import UserError


def in_processes(function: Callable, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield `function(job)` for every job as they finish, from `workers` processes; in order in this one for 1.

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
    pool = ProcessPoolExecutor(workers, mp_context=context)
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
