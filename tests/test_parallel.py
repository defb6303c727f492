"""Work in processes: what a worker raises arrives, and no worker outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sscnb.datasets.images import read_image
from sscnb.errors import UserError
from sscnb.parallel import in_processes, worth_starting

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import os, pathlib, sys, time
from sscnb.parallel import in_processes

def nap(folder):
    (pathlib.Path(folder) / str(os.getpid())).touch()
    time.sleep({seconds})

if __name__ == "__main__":
    for _ in in_processes(nap, [sys.argv[1]] * 2, 2):
        time.sleep(300)
"""


def test_what_a_worker_raises_arrives(tmp_path):
    with pytest.raises(UserError) as caught:
        list(in_processes(read_image, [tmp_path / "a.jpg"] * 2, 2))
    assert str(caught.value) == f"image {tmp_path / 'a.jpg'} is missing."


def test_a_few_images_are_not_worth_another_process():
    assert [worth_starting(2, images) for images in (0, 24, 40, 500)] == [1, 1, 2, 2]
    assert worth_starting(0, 500) == 1


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody has asked for is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 300), (signal.SIGTERM, 0)], ids=["at work", "idle"])
def test_no_worker_outlives_a_parent_that_was_killed(tmp_path, number, seconds):
    """Idle workers wait for a job that never comes."""
    (tmp_path / "napping.py").write_text(SCRIPT.format(seconds=seconds))
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "napping.py", tmp_path / "pids"], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        end = time.monotonic() + 60
        while not (pids := [int(path.name) for path in (tmp_path / "pids").iterdir()]):
            assert parent.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        assert all(map(alive, pids))
    finally:
        parent.send_signal(number)
        parent.wait()
    end = time.monotonic() + 10
    while any(map(alive, pids)):
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.02)
