"""A lock on a folder: one process works in it at a time, and the lock ends with that process, however that ends."""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sscnb.errors import UserError, refusal

NAME = ".lock"
_HELD: list["Lock"] = []  # by this process
os.register_at_fork(after_in_child=_HELD.clear)


class Lock:
    """Held from `acquire` to `release`; who holds it stands in the file `.lock` of the folder.

    A second lock of the same process is granted and holds nothing: a notebook's cell that was stopped and runs again
    must not wait for itself.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._file = -1

    def acquire(self) -> "Lock":
        """Take the lock.

        Raises:
            UserError: another process has it; says which, where and since when. Or the file cannot be written.
        """
        if any(lock.path == self.path for lock in _HELD):
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while self not in _HELD:
                self._try()
            os.ftruncate(self._file, 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode())
        except OSError as error:
            self.release()
            raise UserError(f"cannot lock {refusal(error, str(self.path))}") from error
        return self

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if self in _HELD:
            with suppress(OSError):  # the folder may be gone, or not be ours any more
                if self._is_current(self._file):  # a user may have deleted it, and another process made its own
                    self.path.unlink()
            os.close(self._file)
            _HELD.remove(self)

    def _try(self) -> None:
        """Take the file that stands there now; it may be removed by its holder before it is ours."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):  # a pipe opens, and cannot be written anew
                raise UserError(f"cannot lock {self.path}: it is a pipe or a device, not a file. Delete it.")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_current(file):
                self._file = file
                _HELD.append(self)
        except BlockingIOError as error:
            holder = os.read(file, 200).decode(errors="replace").strip() or "another process"
            raise UserError(
                f"{self.path.parent} is being worked on by {holder}. Wait until it has finished or stop it; the "
                "lock ends with that process."
            ) from error
        finally:
            if self not in _HELD:
                os.close(file)

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.lstat())
        except FileNotFoundError:
            return False


@contextmanager
def locks_given_back() -> Iterator[None]:
    """Give back the locks that were taken in a block, or in a function that this decorates, however that ends."""
    before = list(_HELD)
    try:
        yield
    finally:
        for lock in [lock for lock in _HELD if lock not in before]:
            lock.release()
