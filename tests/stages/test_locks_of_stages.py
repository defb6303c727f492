"""A stage that began and did not come to its end leaves no lock, so that another process may go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaign.world import SCENES
from conftest import ENVIRONMENT

from sscnb.errors import UserError
from sscnb.stages.by_name import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES
from sscnb.stages.run import open_run
from sscnb.stages.stage import Stage

ROOT = Path(__file__).resolve().parents[2]


def test_every_stage_gives_its_lock_back_when_it_refuses(tmp_path, monkeypatch):
    run = open_run("tiny", run_dir=str(tmp_path / "run"), overrides=SCENES)
    begin = Stage.begin

    def refuse(stage: Stage) -> None:
        begin(stage)
        assert (stage.folder / ".lock").is_file()
        raise UserError("no more")

    for name, stage in (RUN_STAGES | VARIANT_STAGES | REFINING_STAGES | SOURCE_STAGES).items():
        with monkeypatch.context() as context, pytest.raises(UserError, match="no more"):
            context.setattr(Stage, "begin", refuse)
            stage(run)
        assert not list(run.folder.rglob(".lock")), name
        stage(run)
        assert not list(run.folder.rglob(".lock")), name


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_asked_to_stop_leaves_no_lock(tmp_path, number):
    words = ["run", "data", "superpixels", "cam", "--preset", "tiny", "--run-dir", str(tmp_path)]
    words += ["--overrides", json.dumps(SCENES | {"cam.epochs": 500})]
    command = [sys.executable, "-m", "sscnb", *words]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    lock = tmp_path / "cam/baseline/seed0/.lock"
    while not (lock.exists() and lock.read_text()):  # it is held as soon as it says by whom
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, number)
    assert b"goes on from here" in process.communicate(timeout=60)[1]
    assert not list(tmp_path.rglob(".lock"))
