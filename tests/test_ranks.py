"""Several processes of one launch: what is whose, and that none waits for one that does not come."""

import os
import socket
import subprocess
import sys
import time

import pytest

from sscnb import ranks

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def launched(monkeypatch):
    """Return a function that makes this process one of several."""
    for name in (*ranks._RANK, *ranks._RANKS, *ranks._LOCAL):
        monkeypatch.delenv(name, raising=False)

    def launch(rank, world, names=("RANK", "WORLD_SIZE")):
        for name, value in zip(names, (rank, world), strict=True):
            monkeypatch.setenv(name, str(value))

    return launch


def test_alone(launched):
    assert (ranks.rank(), ranks.ranks(), ranks.local_ranks(), ranks.is_main()) == (0, 1, 1, True)
    assert ranks.share("abc") == ["a", "b", "c"]
    ranks.wait_for_others("nowhere")  # goes on


def test_a_leftover_variable_makes_no_launch(launched, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert ranks.is_main() and ranks.share([1, 2]) == [1, 2]
    launched(3, 1)
    assert ranks.is_main()


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")])
def test_every_item_is_somebodys_and_nobody_elses(launched, names):
    shares = []
    for rank in range(3):
        launched(rank, 3, names)
        assert ranks.is_main() == (rank == 0) and ranks.ranks() == ranks.local_ranks() == 3
        shares.append(ranks.share(list(range(8))))
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert ranks.share([0]) == []  # more processes than items


def test_local_ranks_are_those_of_the_machine(launched, monkeypatch):
    launched(5, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert ranks.local_ranks() == 4


def start(code: str, world: int = 2) -> list[subprocess.Popen]:
    """Start processes as torchrun does, without its watching over them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(world):
        environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": ROOT}
        command = [sys.executable, "-c", "from datetime import timedelta\nfrom sscnb.ranks import *\n" + code]
        started.append(subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True))
    return started


@pytest.mark.slow
def test_what_was_written_before_the_meeting_is_there_after_it(tmp_path):
    code = (
        f"import time, pathlib; folder = pathlib.Path({str(tmp_path)!r})\n"
        "time.sleep(rank())\n"
        "for turn in range(3):\n"
        "    (folder / f'{turn}.{rank()}').touch()\n"
        "    wait_for_others('here')\n"
        "    print(sorted(p.name for p in folder.glob(f'{turn}.*')))\n"
    )
    for process in start(code, 3):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.splitlines() == [str([f"{turn}.{rank}" for rank in range(3)]) for turn in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 2])
def test_one_that_ends_is_noticed_by_the_others(lost):
    began = time.monotonic()
    code = f"wait_for_others('first')\nif rank() == {lost}: raise SystemExit(3)\nwait_for_others('in the second place')"
    for rank, process in enumerate(start(code, 3)):
        err = process.communicate(timeout=120)[1]
        if rank == lost:
            assert process.returncode == 3
        else:
            assert process.returncode == 1 and f"process {rank} of 3 waited for the others in the second place" in err
    assert time.monotonic() - began < 100


@pytest.mark.slow
def test_patience_ends():
    code = (
        "import time; wait_for_others('first')\n"
        "if rank(): time.sleep(8)\n"
        "wait_for_others('last', timedelta(seconds=2))"
    )
    began = time.monotonic()
    main, other = start(code)
    err = main.communicate(timeout=60)[1]
    assert "sscnb.errors.UserError: process 0 of 2 waited for the others last" in err
    other.communicate(timeout=60)
    assert other.returncode == 1 and time.monotonic() - began < 60
