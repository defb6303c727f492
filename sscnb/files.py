"""Files that are either whole or not there: everything the package writes goes through `replacing`."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sscnb.errors import UserError

# EEXIST, ENOTDIR and EISDIR: a file stands where a folder is wanted, or the other way round.
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name when the block ends well.

    The temporary name keeps the suffix, so that writers which look at it (PIL, numpy) do the right thing.
    A block that raises leaves whatever stood at `path` before, and no temporary file.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            raise UserError(
                f"cannot write {path}: {error.strerror}. Choose a run folder that you can write to."
            ) from error
        raise
    finally:
        with suppress(OSError):  # a folder that cannot be entered has no temporary file
            temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except ValueError as error:
        raise UserError(f"{path} is not readable as JSON ({error}). Delete it and run the stage again.") from error
