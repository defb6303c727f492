"""Trainings that begin with another's: equal to the bit to those that go all the way themselves."""

import re
import shutil

import pytest
import torch
from stages.test_all_stages import SMALL

from sscnb.errors import UserError
from sscnb.networks.checkpoints import load_checkpoint
from sscnb.settings.config import load_config
from sscnb.settings.variants import VARIANTS, trunk_ends, trunks
from sscnb.stages.cam import cam_stage, train_cam
from sscnb.stages.data import make_superpixels, prepare_data
from sscnb.stages.run import open_run

STAGED = SMALL | {"cam.epochs": 3, "reconstruction.warmup_epochs": 1, "modulation.warmup_epochs": 2}


def staged(folder):
    return open_run("tiny", run_dir=str(folder), overrides=STAGED)


def the_same(one, other) -> bool:
    """Whether two checkpoints hold the same network, optimisers and losses; seconds may differ."""
    parts = [load_checkpoint(stage.folder / "checkpoint.pt", stage.hash) for stage in (one, other)]
    flat = [torch.cat([v.flatten().float() for v in part["model"].values()]) for part in parts]
    adams = [part["optimizers"][1]["state"].values() for part in parts]
    states = [[state["exp_avg"] for state in adam] for adam in adams]
    losses = [[epoch["loss"] for epoch in part["history"]] for part in parts]
    return (
        torch.equal(*flat)
        and losses[0] == losses[1]
        and all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """SSC, trained all the way by itself."""
    run = staged(tmp_path_factory.mktemp("alone") / "run")
    prepare_data(run)
    make_superpixels(run)
    train_cam(run, "ssc")
    return run


@pytest.fixture(scope="module")
def begun(alone, tmp_path_factory):
    """The run with what SSC may begin with, and no SSC."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    shutil.copytree(alone.folder, folder, ignore=shutil.ignore_patterns("cam"))
    for variant in ("drs", "drs+cdr"):
        train_cam(staged(folder), variant)
    return staged(folder)


@pytest.mark.parametrize("before", [["drs"], ["drs", "drs+cdr"]])
def test_a_training_that_begins_with_anothers_ends_as_if_alone(alone, tmp_path, before, monkeypatch):
    shutil.copytree(alone.folder, tmp_path / "run", ignore=shutil.ignore_patterns("cam"))
    run = staged(tmp_path / "run")
    for variant in before:
        train_cam(run, variant)
    steps = []
    monkeypatch.setattr("sscnb.networks.training.tqdm.update", lambda *_: steps.append(1))
    result = train_cam(run, "ssc")
    assert len(steps) == 3 * (3 - len(before))  # twelve images in batches of four
    assert the_same(cam_stage(run, "ssc", 0), cam_stage(alone, "ssc", 0))
    assert [epoch["epoch"] for epoch in result["history"]] == [0, 1, 2]
    assert [epoch["alignment"] == 0 for epoch in result["history"]] == [True, True, False]
    assert [epoch["reconstruction"] == 0 for epoch in result["history"]] == [True, False, False]
    assert ["gap" in epoch for epoch in result["history"]] == [False, True, True]


def test_one_of_other_settings_is_no_beginning(alone, tmp_path):
    """The rate is part of the hash, and so of what a beginning has to match."""
    shutil.copytree(alone.folder, tmp_path / "run", ignore=shutil.ignore_patterns("cam"))
    run = staged(tmp_path / "run")
    train_cam(run, "drs@cam.lr_backbone=0.02")
    (tmp_path / "run/cam/drs@cam.lr_backbone=0.02").rename(tmp_path / "run/cam/drs")
    with pytest.raises(UserError, match="belongs to configuration"):
        train_cam(run, "ssc")


def _changed(change):
    def rewrite(path):
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return rewrite


def _no_decoder(content):
    content["model"] = {k: v for k, v in content["model"].items() if not k.startswith("decoder.")}


DAMAGES = {
    "half": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "nothing learned": _changed(lambda content: content["model"].clear()),
    "not finite": _changed(lambda content: content["model"]["net.classifier.weight"].fill_(float("nan"))),
    "no decoder": _changed(_no_decoder),
    "no optimiser of the decoder": _changed(lambda content: content["optimizers"].pop()),
    "of other epochs": lambda path: shutil.copy(path.with_name("checkpoint.pt"), path),
    "no history": _changed(lambda content: content.update(history=[])),
    "a history of texts": _changed(lambda content: content.update(history=["0", "1"])),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_beginning_is_named_and_not_gone_on_from(begun, tmp_path, name):
    shutil.copytree(begun.folder, tmp_path / "run")
    path = tmp_path / "run/cam/drs+cdr/seed0/after2.pt"
    DAMAGES[name](path)
    with pytest.raises(UserError, match=f"checkpoint {re.escape(str(path))} .*[Dd]elete it"):
        train_cam(staged(tmp_path / "run"), "ssc")


def test_without_the_damaged_one_a_training_begins_with_less_or_nothing(begun, alone, tmp_path):
    shutil.copytree(begun.folder, tmp_path / "run")
    run = staged(tmp_path / "run")
    (tmp_path / "run/cam/drs+cdr/seed0/after2.pt").unlink()
    shutil.rmtree(tmp_path / "run/cam/drs")
    train_cam(run, "ssc")
    assert the_same(cam_stage(run, "ssc", 0), cam_stage(alone, "ssc", 0))


def test_which_begin_with_which():
    config = load_config("tiny", {"cam.epochs": 9, "reconstruction.warmup_epochs": 6, "modulation.warmup_epochs": 7})
    assert trunks("baseline", config) == trunks("drs", config) == []
    assert trunks("drs+cdr", config) == trunks("cdr_l1", config) == trunks("drs+cdr_early", config) == [("drs", 6)]
    assert trunks("ssc", config) == trunks("drs+cdr+asm_no_ras", config) == [("drs+cdr", 7), ("drs", 6)]
    assert trunk_ends(config) == [6, 7]


def test_changes_are_kept_where_they_matter():
    config = load_config("tiny", {"cam.epochs": 9, "reconstruction.warmup_epochs": 6, "modulation.warmup_epochs": 7})
    assert trunks("ssc@modulation.beta=0.5", config) == [("drs+cdr", 7), ("drs", 6)]
    assert trunks("ssc@reconstruction.beta=0.5", config)[0] == ("drs+cdr@reconstruction.beta=0.5", 7)
    assert trunks("ssc@cam.epochs=8", config) == [("drs+cdr@cam.epochs=8", 7), ("drs@cam.epochs=8", 6)]
    assert trunks("drs+cdr@reconstruction.warmup_epochs=2", config) == [("drs", 2)]


@pytest.mark.parametrize("preset", ["voc", "coco"])
def test_the_paper_rebuilds_from_the_first_step(preset):
    config = load_config(preset)
    assert not any(trunks(name, config) for name, parts in VARIANTS.items() if not parts.modulation)
    assert trunks("ssc", config) == [("drs+cdr", 2)]
