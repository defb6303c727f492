"""A lock on a folder: one process works in it at a time, and the lock ends with that process, however that ends."""

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sscnb.errors import UserError

NAME = ".lock"


class Lock:
    """Held from `acquire` to `release`; who holds it stands in the file `.lock` of the folder.

    A second lock of the same process is granted and holds nothing: a notebook's cell that was stopped and runs again
    must not wait for itself.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._file: IO[str] | None = None

    def acquire(self) -> "Lock":
        """Take the lock.

        Raises:
            UserError: another process has it; says which, where and since when.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            file = self.path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                if holder.startswith(f"process {os.getpid()} on {socket.gethostname()} "):
                    return self
                raise UserError(
                    f"{self.path.parent} is being worked on by {holder}. Wait until it has finished or stop it; the "
                    "lock ends with that process."
                ) from error
            if self._is_current(file):
                self._file = file
            else:  # it was released and removed between the two calls
                file.close()
        self._file.truncate(0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n")
        self._file.flush()
        return self

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _is_current(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False
