"""Files that are either whole or not there: everything the package writes goes through `replacing`."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any

from sscnb.errors import UserError, refusal

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)  # of any file that is written
_NAME_BYTES = 200  # of a name that a temporary one keeps: file systems take 255
Expected = type | UnionType | Mapping[str, Any]


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name when the block ends well.

    The temporary name keeps the suffix, so that writers which look at it (PIL, numpy) do the right thing.
    A block that raises leaves whatever stood at `path` before, and no temporary file.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    stem = os.fsdecode(os.fsencode(path.stem)[:_NAME_BYTES])
    temporary = path.with_name(f".{stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with _refused(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        except Exception as error:
            if (cause := _write_error(error, str(temporary))) is None:
                raise
            raise _not_written(path, cause) from error
        with _refused(path):
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # a folder that cannot be entered has no temporary file
            temporary.unlink(missing_ok=True)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {refusal(error, str(path))}")


def _write_error(error: BaseException | None, temporary: str) -> OSError | None:
    """Find the refusal to write in an exception or in what led to it: torch raises one of its own over it."""
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OSError):
            if error.errno in _DISK or (error.errno and temporary in (str(error.filename), str(error.filename2))):
                return error
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def made_again(path: str | os.PathLike) -> Iterator[None]:
    """Add to an error over a file that a stage wrote what to do: a stage whose file is gone makes it again.

    Raises:
        UserError: as the block, with that advice.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} Delete {path} to have it made again.") from error


def user_path(path: str | os.PathLike) -> Path:
    """Return a path that a person gave, with `~` and `~name` replaced by the home folder.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: the home folder is not known. Write the path without `~`.") from error


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike, expect: Expected | None = None) -> Any:
    """Read a JSON file.

    Args:
        expect: what it must hold: a type (`dict`, `list | None`), or an object's keys with the type of each, or with
            the keys of each in turn; other keys may stand beside them.

    Raises:
        UserError: the file is missing, cannot be read, is not JSON, or holds something else than expected.
    """
    if Path(path).exists() and not Path(path).is_dir() and not Path(path).is_file():  # a pipe would be waited for
        raise UserError(f"{path} is no file. Delete it and run the stage again.")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except OSError as error:
        raise UserError(f"cannot read {refusal(error, str(path))}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable as JSON ({error}). Delete it and run the stage again.") from error
    if fault := _misfit(found, expect):
        raise UserError(f"{path} is JSON of another kind: {fault}. Delete it and run the stage again.")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _misfit(found: Any, expect: Expected | None, where: str = "it") -> str:
    """Return in which way a value is not as expected, or nothing."""
    if expect is None:
        return ""
    kind = dict if isinstance(expect, Mapping) else expect
    if not isinstance(found, kind):
        wanted = "object" if kind is dict else getattr(kind, "__name__", str(kind))
        shown = repr(found) if len(repr(found)) < 40 else repr(found)[:37] + "..."
        return f"{where} holds {shown}; expected: {wanted}"
    if not isinstance(expect, Mapping) or not isinstance(found, dict):
        return ""
    for key, inner in expect.items():
        if key not in found:
            return f"{where} has no key {key!r}; expected: {', '.join(map(str, expect))}"
        if fault := _misfit(found[key], inner, f"key {key!r}"):
            return fault
    return ""
