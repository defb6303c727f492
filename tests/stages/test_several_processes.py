"""Two processes on one run, as `accelerate launch` starts them: what they write, and what becomes of a failure."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from conftest import ENVIRONMENT, ROOT, snapshot

from sscnb.files import read_json
from sscnb.stages.by_name import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES
from sscnb.stages.run import open_run

SETTINGS = {
    "data.scenes.size": 64,
    "data.scenes.train": 13,  # does not divide by two, and leaves a batch of one
    "data.scenes.val": 3,
    "cam.crop": 64,
    "cam.resize": [56, 80],
    "cam.batch_size": 4,
    "cam.epochs": 1,
    "inference.batch_size": 3,
    "irn.crf": "none",
    "irn.crop": 64,
    "irn.long_side": 0,
    "irn.radius": 4,
    "irn.batch_size": 4,
    "segmentation.crop": 64,
    "segmentation.batch_size": 4,
}
# Where the files lie that come of inference, and the stage that writes them.
SHARED = {
    "superpixels": "superpixels",
    "cams": "cam/baseline/seed0/cams",
    "ir_labels": "irn/baseline/seed0/none/ir_labels",
    "pseudo": "irn/baseline/seed0/none/pseudo_masks",
    "predictions": "segmentation/efficientnet_lite0/baseline/seed0/predictions",
}
MEASURED = ("seeds", "pseudo_eval", "segmentation_eval")
STAGES = [*RUN_STAGES, *VARIANT_STAGES, *REFINING_STAGES, *SOURCE_STAGES]

pytestmark = pytest.mark.slow


def opened(folder):
    return open_run("tiny", run_dir=str(folder), overrides=SETTINGS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A whole run, made by one process; not to be changed."""
    run = opened(tmp_path_factory.mktemp("alone") / "run")
    for stages in (RUN_STAGES, VARIANT_STAGES, REFINING_STAGES, SOURCE_STAGES):
        for stage in stages.values():
            stage(run)
    return run


def launch(folder, *stages: str) -> subprocess.CompletedProcess:
    """Run stages in two processes. Without GPUs `--multi_gpu` is two processes on the processor; `--cpu` leaves the
    second one to mpirun."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "sscnb", "run", *stages, "--preset", "tiny", "--run-dir", str(folder)]
    command += ["--overrides", json.dumps(SETTINGS)]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)


def values(folder, part) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in read_json(folder / part / "results.json")["rows"]}


def test_two_processes_write_the_files_that_one_writes(alone, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(alone.folder, folder)
    evaluations = [path.parent.relative_to(folder) for path in folder.rglob("results.json")]
    evaluations = [part for part in evaluations if part.name in ("seeds", "evaluation")]
    assert len(evaluations) == 3
    for part in (*SHARED.values(), *evaluations, "irn/baseline/seed0/none/walks", "irn/baseline/seed0/none/confidence"):
        shutil.rmtree(folder / part)
    half = opened(folder).dataset().ids("train")[5]  # one that an interrupted run has left
    (folder / "superpixels").mkdir()
    for name in ("superpixels.json", f"{half}.png", "settings.json"):
        shutil.copy(alone.folder / "superpixels" / name, folder / "superpixels" / name)
    done = launch(folder, *SHARED, *MEASURED)
    assert done.returncode == 0, done.stderr[-3000:]
    # Every stage is told once, and half of the images by the process that talks.
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [*SHARED, *MEASURED]
    assert "7/7" in done.stderr and "13/13" in done.stderr  # relation labels shared, seeds measured by one

    before, after = snapshot(alone.folder), snapshot(folder)
    assert set(before) == set(after)
    told = {path for path in before if path.endswith("results.json")}
    assert len(told) >= 11 and {path for path in before if before[path] != after[path]} <= told
    for path in told:
        part = os.path.dirname(path)
        assert values(folder, part) == pytest.approx(values(alone.folder, part), nan_ok=True)


def test_two_processes_go_the_whole_way(tmp_path):
    done = launch(tmp_path / "run", *STAGES)
    assert done.returncode == 0, done.stderr[-3000:]
    run = opened(tmp_path / "run")
    assert {row["stage"] for row in run.rows()} >= {"data", "cam", "irn", "segmentation", "segmentation_evaluation"}
    before = snapshot(run.folder)
    assert not [name for name in before if ".tmp" in name]
    again = launch(run.folder, *STAGES)
    assert again.returncode == 0 and again.stdout == done.stdout and snapshot(run.folder) == before


@pytest.mark.parametrize("place", [0, 1])
def test_a_failure_of_one_ends_both(alone, tmp_path, place):
    """The CAMs of an image of the first or of the second process are damaged: its message, and no process is left."""
    folder = tmp_path / "run"
    shutil.copytree(alone.folder, folder)
    shutil.rmtree(folder / SHARED["ir_labels"])
    damaged = folder / SHARED["cams"] / f"{alone.dataset().ids('train')[4 + place]}.npz"
    damaged.write_bytes(b"no archive")
    began = time.monotonic()
    done = launch(folder, "ir_labels")
    assert done.returncode != 0 and f"error: {damaged} cannot be read" in done.stderr
    assert time.monotonic() - began < 120
    assert not (folder / SHARED["ir_labels"] / "results.json").exists()
