"""Locks: one process at a time, and none when that process is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sscnb.errors import UserError
from sscnb.locks import Lock

ROOT = Path(__file__).resolve().parents[1]
HOLD = (
    "import sys, time; from pathlib import Path; from sscnb.locks import Lock; "
    "lock = Lock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


def holder(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named_and_its_death_gives_the_lock_back(tmp_path):
    process = holder(tmp_path / "a")
    try:
        with pytest.raises(UserError, match=f"is being worked on by process {process.pid} on .* since 20"):
            Lock(tmp_path / "a").acquire()
        Lock(tmp_path / "b").acquire().release()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    lock = Lock(tmp_path / "a").acquire()
    assert f"process {os.getpid()} " in (tmp_path / "a/.lock").read_text()
    lock.release()
    assert not (tmp_path / "a/.lock").exists()
    lock.release()  # once is enough


def test_the_same_process_does_not_wait_for_itself(tmp_path):
    first = Lock(tmp_path).acquire()
    second = Lock(tmp_path).acquire()
    second.release()
    assert (tmp_path / ".lock").is_file()  # still the first one's
    first.release()


def test_of_many_at_once_one_has_it(tmp_path):
    code = HOLD.replace("time.sleep(60)", "time.sleep(1)")
    words = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT}
    began = time.monotonic()
    processes = [subprocess.Popen(words, **pipes) for _ in range(4)]
    ends = [process.communicate() for process in processes]
    held = [out for out, _ in ends if out]
    assert held and (len(held) == 1 or time.monotonic() - began > 1)  # a late one may come after the first has gone
    assert all(b"is being worked on by process" in err for out, err in ends if not out)
