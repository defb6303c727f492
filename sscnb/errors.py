"""The one exception that is written for people, and how what the operating system refuses becomes one."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, what was expected and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


_ROOM = "Make room there, or choose another place, and give the same command again: what is finished is kept."
_OTHERS = "Change the permissions, or choose a path that is yours."
_CURES = {
    errno.EACCES: _OTHERS,
    errno.EPERM: _OTHERS,
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another disk.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Its links lead in a circle: remove or mend them.",
    errno.ENOENT: "Check how the path is written.",
    errno.ENOTDIR: "A file stands where a folder is wanted: choose another path, or move the file away.",
    errno.EISDIR: "A folder stands where a file is wanted: move it away.",
    errno.EEXIST: "Something else is there already: move it away, or choose another path.",
    errno.ENOTEMPTY: "Something else is there already: move it away, or choose another path.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n), or use fewer workers.",
    errno.ENFILE: "Close other programs, or use fewer workers.",
    errno.ENOMEM: "Close other programs, use fewer workers, or smaller images.",
    errno.EIO: "Check the disk and its connection.",
}


def refusal(error: OSError, path: str = "") -> str:
    """Say what the operating system refused, of which file, and what to do; `path` replaces the error's own."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = path or " -> ".join(names)
    cure = _CURES.get(error.errno or 0, "Mend that and give the same command again.")
    return f"{where}: {error.strerror}. {cure}" if where else f"{error.strerror}. {cure}"


@contextmanager
def system_errors() -> Iterator[None]:
    """Turn what the operating system refuses into a UserError that names file and cure: as a block or a decorator.

    Errors without a number are not the system's but a library's, and a closed pipe or connection has no file: these
    pass as they are.

    Raises:
        UserError: of an OSError within, or where memory was not to be had.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, ConnectionError):
            raise
        raise UserError(refusal(error)) from error
    except MemoryError as error:
        raise UserError(f"out of memory ({error}). {_CURES[errno.ENOMEM]}") from error


def nearest(name: str, valid: list[str]) -> str:
    """Return a phrase that offers the valid names closest to a wrong one, or all of them when none is close."""
    import difflib

    close = difflib.get_close_matches(str(name), valid, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "valid are " + ", ".join(repr(v) for v in valid) + "."
