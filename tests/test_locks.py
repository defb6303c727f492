"""Locks: one process at a time, and none when that process is gone; nothing is left but by a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sscnb.errors import UserError
from sscnb.locks import Lock, locks_given_back

ROOT = Path(__file__).resolve().parents[1]
HOLD = (
    "import sys, time; from pathlib import Path; from sscnb.locks import Lock; "
    "lock = Lock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


def holder(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_another_process_is_named_and_its_death_gives_the_lock_back(tmp_path):
    process = holder(tmp_path / "a")
    try:
        with pytest.raises(UserError, match=f"is being worked on by process {process.pid} on .* since 20"):
            Lock(tmp_path / "a").acquire()
        Lock(tmp_path / "b").acquire().release()
    finally:
        ended(process)
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


def test_a_file_that_names_this_process_is_no_lock_of_it(tmp_path):
    """In a container every process may have the same number."""
    process = holder(tmp_path)
    try:
        (tmp_path / ".lock").write_text(f"process {os.getpid()} on {os.uname().nodename} since 2026\n")
        with pytest.raises(UserError, match="is being worked on by"):
            Lock(tmp_path).acquire()
    finally:
        ended(process)


def test_a_fork_holds_nothing_of_its_parents(tmp_path):
    lock = Lock(tmp_path).acquire()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            lock.release()
            Lock(tmp_path).acquire()
        except UserError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / ".lock").is_file()
    lock.release()


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


def test_there_are_never_two_while_files_come_and_go(tmp_path):
    """Each holder makes a file that must not be there yet; a second one would fall over it."""
    code = "import os, sys, time; from pathlib import Path; from sscnb.errors import UserError; "
    code += "from sscnb.locks import Lock\n"
    code += "folder, had, end = Path(sys.argv[1]), 0, time.monotonic() + 1.5\n"
    code += "while time.monotonic() < end:\n"
    code += "    try:\n        lock = Lock(folder).acquire()\n    except UserError:\n        continue\n"
    code += "    os.close(os.open(folder / 'mine', os.O_CREAT | os.O_EXCL))\n"
    code += "    os.unlink(folder / 'mine')\n    lock.release()\n    had += 1\n"
    code += "print(had)"
    words = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(3)]
    had = [process.communicate()[0] for process in processes]
    assert all(process.returncode == 0 for process in processes) and sum(map(int, had)) > 100
    assert not list(tmp_path.iterdir())


def test_the_lock_of_another_is_not_removed(tmp_path):
    """Whoever deletes a folder in which somebody is at work lets another begin in it."""
    lock = Lock(tmp_path).acquire()
    (tmp_path / ".lock").unlink()
    process = holder(tmp_path)
    try:
        lock.release()
        assert f"process {process.pid} " in (tmp_path / ".lock").read_text()
    finally:
        ended(process)


@pytest.mark.parametrize("error", [None, UserError("no"), KeyboardInterrupt("terminated"), SystemExit(3)])
def test_locks_are_given_back_however_a_block_ends(tmp_path, error):
    @locks_given_back()
    def work() -> None:
        Lock(tmp_path / "a").acquire()
        Lock(tmp_path / "b").acquire()
        if error is not None:
            raise error

    outer = Lock(tmp_path / "c").acquire()
    try:
        work()
    except BaseException as caught:
        assert caught is error
    assert [path.parent.name for path in tmp_path.rglob(".lock")] == ["c"]
    outer.release()


@pytest.mark.parametrize("place", ["folder", "link", "file above"])
def test_what_stands_in_the_way_of_a_lock_is_named(tmp_path, place):
    folder = tmp_path / "a"
    if place == "file above":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / ".lock").mkdir() if place == "folder" else (folder / ".lock").symlink_to("elsewhere")
    with pytest.raises(UserError, match=f"cannot lock {folder}/.lock: "):
        Lock(folder).acquire()
    assert not (folder / "elsewhere").exists()


def test_a_pipe_in_place_of_a_lock_is_named_with_its_cure(tmp_path):
    path = tmp_path / ".lock"
    os.mkfifo(path)
    with pytest.raises(UserError, match=f"cannot lock {path}: it is a pipe or a device, not a file. Delete it."):
        Lock(tmp_path).acquire()
    assert path.is_fifo()  # somebody's, perhaps
    path.unlink()
    Lock(tmp_path).acquire().release()
    assert not list(tmp_path.iterdir())


def test_without_room_for_a_name_nothing_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "write", full)
        with pytest.raises(UserError, match=f"{tmp_path}/.lock: No space left on device. Make room"):
            Lock(tmp_path).acquire()
    assert not list(tmp_path.iterdir())
    Lock(tmp_path).acquire().release()
