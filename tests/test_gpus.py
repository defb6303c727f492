"""One GPU a process, without a GPU: torch's answers are stood in for."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
import torch

from sscnb.gpus import claimed_gpu


@pytest.fixture
def chosen(tmp_path, monkeypatch) -> list[int]:
    """Two GPUs, and a list of those that were made the current one."""
    used: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return used


def test_each_takes_one_that_is_free(chosen):
    with claimed_gpu() as first:
        with claimed_gpu() as second, claimed_gpu() as third:
            assert (first, second, third) == (0, 1, None)
        with claimed_gpu() as again:
            assert again == 1
    assert chosen == [0, 1, 1]


def test_an_error_frees_it(chosen):
    with pytest.raises(RuntimeError), claimed_gpu():
        raise RuntimeError
    with claimed_gpu() as index:
        assert index == 0


def test_a_process_that_is_killed_frees_it(chosen, tmp_path):
    code = (
        "import tempfile, torch, time; from sscnb.gpus import claimed_gpu; "
        "torch.cuda.device_count = lambda: 2; torch.cuda.set_device = lambda index: None\n"
        "with claimed_gpu() as index: print(index, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "0\n"
        with claimed_gpu() as index:
            assert index == 1
        process.send_signal(signal.SIGKILL)
    with claimed_gpu() as index:
        assert index == 0


def test_jobs_of_a_scheduler_with_other_gpus_do_not_wait_for_each_other(chosen, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with claimed_gpu() as first:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,4")
        with claimed_gpu() as other, claimed_gpu() as third:
            assert (first, other, third) == (0, 0, None)  # 4, then 6; 4 is taken


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_choice_nothing_is_set(chosen, monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with claimed_gpu() as index:
        assert index is None
    assert chosen == []


def test_under_accelerate_each_takes_its_own_and_claims_nothing(chosen, monkeypatch):
    for rank, expected in (("1", 1), ("0", 0), ("3", 1)):  # more processes than GPUs share them
        monkeypatch.setenv("LOCAL_RANK", rank)
        with claimed_gpu() as index, claimed_gpu() as again:
            assert index == again == expected
    assert chosen == [1, 1, 0, 0, 1, 1]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with claimed_gpu() as index:
        assert index is None
