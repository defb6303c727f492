"""A command as a user gives it, called in a process of its own: a crash, a hang or a full disk stays in there."""

import io
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sscnb.commands.cli import main

PATIENCE = 90.0  # seconds: the longest call takes ten


@dataclass(frozen=True)
class Answer:
    """What a call ended with. `code` is negative for a signal, and None for a call that had to be stopped."""

    code: int | None
    out: str
    err: str

    @property
    def message(self) -> str:
        """The message that a user reads, without the progress bars before it."""
        place = self.err.find("error: ")
        return self.err[place:].strip() if place >= 0 else ""

    @property
    def fault(self) -> str:
        """Why this is no proper end, or nothing."""
        if self.code is None:
            return "hang"
        if "Traceback (most recent call last)" in self.err + self.out:
            return "traceback"
        if self.code < 0:
            return "signal"
        if self.code not in (0, 2, 130, 143) or (self.code == 2 and not self.message):
            return "no message"
        return ""


def call(words: Sequence[str], scratch: Path, *, file_size: int = 0, patience: float = PATIENCE) -> Answer:
    """Call `python -m sscnb` with these words in a forked process.

    Args:
        scratch: a folder for what it prints.
        file_size: the largest file that it may write, in bytes, as on a disk that fills up; 0 is any.
    """
    return forked(lambda: main([str(word) for word in words]), scratch, file_size=file_size, patience=patience)


def forked(function: Callable[[], int], scratch: Path, *, file_size: int = 0, patience: float = PATIENCE) -> Answer:
    """Call a function, which returns an exit code, in a forked process; otherwise as `call`."""
    scratch.mkdir(parents=True, exist_ok=True)
    out, err = scratch / "out", scratch / "err"
    child = os.fork()
    if child == 0:
        _be_child(function, out, err, file_size)
    end = time.monotonic() + patience
    while True:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            code: int | None = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            code = None
            break
        time.sleep(0.005)
    return Answer(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


def _be_child(function: Callable[[], int], out: Path, err: Path, file_size: int) -> None:
    code = 1
    try:
        os.setsid()
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w"), write_through=True) for n in (1, 2))
        torch.set_num_threads(1)
        if file_size:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        code = function()
    except SystemExit as error:  # of the option parser
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code or 0)
