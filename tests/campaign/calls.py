"""A command as a user gives it, called in a process of its own: a crash, a hang or a full disk stays in there."""

import io
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def call(words: Sequence[str], *, file_size: int = 0, patience: float = PATIENCE) -> Answer:
    """Call `python -m sscnb` with these words in a forked process.

    Args:
        file_size: the largest file that it may write, in bytes, as on a disk that fills up; 0 is any.
    """
    return forked(lambda: main([str(word) for word in words]), file_size=file_size, patience=patience)


def forked(function: Callable[[], int], *, file_size: int = 0, patience: float = PATIENCE) -> Answer:
    """Call a function, which returns an exit code, in a forked process; otherwise as `call`."""
    pipes = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        _be_child(function, [end for _, end in pipes], file_size)
    texts = [bytearray(), bytearray()]
    readers = [threading.Thread(target=_read, args=(pipe[0], text)) for pipe, text in zip(pipes, texts, strict=True)]
    for (_, end), reader in zip(pipes, readers, strict=True):
        os.close(end)
        reader.start()
    code = _waited(child, patience)
    for reader, (begin, _) in zip(readers, pipes, strict=True):
        reader.join()
        os.close(begin)
    return Answer(code, *(text.decode(errors="replace") for text in texts))


def _waited(child: int, patience: float) -> int | None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _read(pipe: int, text: bytearray) -> None:
    while part := os.read(pipe, 65536):
        text += part


def _be_child(function: Callable[[], int], ends: Sequence[int], file_size: int) -> None:
    code = 1
    try:
        os.setsid()
        for number, end in zip((1, 2), ends, strict=True):
            os.dup2(end, number)
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
