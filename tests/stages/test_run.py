"""The run folder: where it is, what it belongs to, whether a stage is done, and where numbers come from."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb.errors import UserError
from sscnb.files import read_json, write_json
from sscnb.stages.data import prepare_data
from sscnb.stages.provenance import project_root, provenance, stamp_code
from sscnb.stages.run import Run, only_looking, open_run
from sscnb.stages.stage import NotFinished

ROOT = Path(__file__).resolve().parents[2]


def refusal(**arguments) -> str:
    with pytest.raises(UserError) as caught:
        open_run(**arguments)
    return str(caught.value)


def begun(**arguments) -> Run:
    """A run whose first stage has begun: the folder is its own from then on."""
    run = open_run(**arguments)
    run.stage(run.folder / "data", "data", {}).begin()
    return run


@pytest.fixture
def tiny(tmp_path):
    return {"preset": "tiny", "run_dir": str(tmp_path / "run")}


# --- where ---------------------------------------------------------------------------------------------------------


def test_the_folder_is_the_same_from_every_current_folder(tmp_path, monkeypatch):
    places = set()
    for current in (ROOT, ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(current)
        assert project_root() == ROOT
        relative = os.path.relpath(tmp_path / "mine", ROOT)
        places.add(open_run("tiny", run_dir=relative).folder)
    assert places == {tmp_path / "mine"}


def test_data_root_is_the_same_from_every_current_folder(tmp_path, photographs, monkeypatch):
    relative = os.path.relpath(photographs, ROOT)
    for current in (ROOT, ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(current)
        run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=relative)
        assert run.data_root == str(photographs)


def test_without_run_dir_it_is_named_after_the_preset(tmp_path, monkeypatch):
    monkeypatch.setattr("sscnb.stages.run.project_root", lambda: tmp_path)
    assert open_run("tiny").folder == tmp_path / "runs/tiny"


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_run("tiny", run_dir="~/mine").folder == tmp_path / "mine"


def test_folders_of_variants_and_seeds(tiny):
    run = open_run(**tiny, seed=4)
    assert run.cam_folder("drs") == run.folder / "cam/drs/seed4"
    assert run.cam_folder("drs", 0) == run.folder / "cam/drs/seed0"


# --- to whom it belongs --------------------------------------------------------------------------------------------


def test_a_folder_keeps_its_preset(tiny):
    folder = begun(**tiny).folder
    before = snapshot(folder)
    text = refusal(preset="small", run_dir=str(folder))
    assert str(folder) in text and "'tiny'" in text and "'small'" in text
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("cam.epochs", 7, "cam.epochs 2 there, 7 here"),
        ("data.scenes.seed", 1, "data.scenes.seed 0 there, 1 here"),
        ("inference.scales", [0.5], "inference.scales [1.0] there, [0.5] here"),
        ("modulation.beta", 2, "modulation.beta 1.0 there, 2.0 here"),
    ],
)
def test_a_folder_keeps_its_settings(tiny, key, value, shown):
    folder = begun(**tiny).folder
    before = snapshot(folder)
    assert f"({shown})" in refusal(**tiny, overrides={key: value})
    assert snapshot(folder) == before
    assert open_run(**tiny).folder == folder


@pytest.mark.parametrize(
    "free",
    [
        {"cam.workers": 3},
        {"superpixels.workers": 2},
        {"inference.batch_size": 1},
        {"variants": ["drs", "ssc"]},
        {"seeds": [0, 1, 2]},
    ],
)
def test_settings_that_may_change_from_time_to_time(tiny, free):
    before = snapshot(begun(**tiny).folder)
    again = open_run(**tiny, overrides=free)
    assert again.config != open_run(**tiny).config  # the change is in force
    assert snapshot(again.folder) == before


def test_a_folder_keeps_its_data(tmp_path, photographs):
    options = {"preset": "folder", "run_dir": str(tmp_path / "run")}
    folder = begun(**options, data_root=str(photographs)).folder
    assert open_run(**options).data_root == str(photographs)  # remembered
    other = make_photographs(tmp_path / "other")
    before = snapshot(folder)
    text = refusal(**options, data_root=str(other))
    assert str(photographs) in text and str(other) in text and snapshot(folder) == before


def test_photographs_do_not_depend_on_how_scenes_are_drawn(tmp_path, photographs):
    """Their networks stay valid when a later version draws other scenes."""
    options = {"preset": "folder", "run_dir": str(tmp_path / "run"), "data_root": str(photographs)}
    prepare_data(open_run(**options))
    before = snapshot(tmp_path / "run")
    prepare_data(open_run(**options, overrides={"data.scenes.families": 2}))  # done
    assert snapshot(tmp_path / "run") == before


def test_what_was_opened_or_refused_alone_leaves_no_trace(tiny):
    """A wrong setting that a stage refuses, and a dry run, do not pin the folder."""
    run = open_run(**tiny, overrides={"cam.epochs": 7})
    with pytest.raises(NotFinished):
        only_looking(run).stage(run.folder / "data", "data", {}).begin()
    assert not run.folder.exists()
    assert open_run(**tiny, overrides={"cam.epochs": 3}).config.cam.epochs == 3


# --- what is refused -----------------------------------------------------------------------------------------------


def test_nothing_is_written_where_something_is_wrong(tmp_path, photographs):
    options = {"run_dir": str(tmp_path / "run")}
    assert "'tinny'" in refusal(preset="tinny", **options)
    assert "'cam.epoch'" in refusal(preset="tiny", overrides={"cam.epoch": 1}, **options)
    assert "needs data_root" in refusal(preset="folder", **options)
    assert "takes no data_root" in refusal(preset="tiny", data_root=str(photographs), **options)
    missing = tmp_path / "nowhere"
    assert str(missing) in refusal(preset="folder", data_root=str(missing), **options)
    assert "JPEGImages/ is missing" in refusal(preset="folder", data_root=str(tmp_path), **options)
    assert "run_dir must be a path" in refusal(preset="tiny", run_dir=2026)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [-1, "0", 1.0, True, None])
def test_wrong_seed(tiny, seed):
    assert f"not {seed!r}" in refusal(**tiny, seed=seed)


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_run_folder_that_cannot_be_made(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    text = refusal(preset="tiny", run_dir=str(tmp_path / "file" / below))
    assert str(tmp_path / "file" / below) in text and "cannot write" in text
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_folder_that_became_read_only(tiny, monkeypatch):
    folder = begun(**tiny).folder
    if os.geteuid():
        folder.chmod(0o500)
    else:  # permissions do not bind root
        monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == folder and mode & os.W_OK))
    try:
        assert f"cannot write to {folder}" in refusal(**tiny)
    finally:
        folder.chmod(0o700)


def test_a_damaged_record(tiny):
    folder = begun(**tiny).folder
    (folder / "run.json").write_text("{")
    assert str(folder / "run.json") in refusal(**tiny)


def test_data_that_are_not_prepared_or_gone(tmp_path, photographs):
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(photographs))
    with pytest.raises(UserError, match="01_data_preparation"):
        run.dataset()
    run.folder.mkdir()
    run.dataset_folder.symlink_to(photographs, target_is_directory=True)
    assert run.dataset().ids("val") == ["004", "005"]
    photographs.rename(tmp_path / "moved")
    with pytest.raises(UserError) as caught:
        run.dataset()
    assert str(photographs) in str(caught.value) and "gone" in str(caught.value)


# --- stages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path) -> Run:
    return open_run("tiny", run_dir=str(tmp_path / "run"))


def test_a_stage_is_done_when_its_results_are_there(run):
    stage = run.stage(run.folder / "a", "a", {"x": 1})
    assert not stage.done()
    stage.begin()
    assert not stage.done() and (run.folder / "a/settings.json").is_file()
    written = stage.finish({"m": 0.5}, note="n")
    assert stage.done() and stage.load() == written and written["note"] == "n"
    assert run.stage(run.folder / "a", "a", {"x": 1}).done()


@pytest.mark.parametrize("finished", [True, False])
def test_a_stage_of_other_settings_is_not_overwritten(run, finished):
    stage = run.stage(run.folder / "a", "a", {"part": {"x": 1, "y": 2}})
    stage.begin()
    if finished:
        stage.finish({"m": 0.5})
    before = snapshot(run.folder)
    with pytest.raises(UserError) as caught:
        run.stage(run.folder / "a", "a", {"part": {"x": 1, "y": 3}}).done()
    assert "part.y 2 there, 3 here" in str(caught.value) and str(run.folder / "a") in str(caught.value)
    assert snapshot(run.folder) == before


def test_a_stage_is_done_while_what_it_wrote_is_there(run):
    stage = run.stage(run.folder / "a", "a", {"x": 1})
    stage.begin()
    files = [run.folder / "a/1.png", run.folder / "b/2.png"]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert stage.finish({"m": 0.5}, files=files)["files"] == {"../b/2.png": 0, "1.png": 0}
    assert stage.done() and stage.missing() == []
    files[1].unlink()
    assert not stage.done() and stage.missing() == [str(run.folder / "a/../b/2.png")]
    shutil.rmtree(run.folder / "b")
    assert not stage.done()


def test_a_stage_begins_anew_without_what_is_not_whole(run):
    folder = run.folder / "a"
    stage = run.stage(folder, "a", {"x": 1})
    stage.begin()
    files = [folder / "whole.png", folder / "cut.png", run.folder / "b/beside.png"]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.write_text("whole")
    outside = run.folder.parent / "outside.txt"
    outside.write_text("mine")
    stage.finish({"m": 0.5}, files=[*files, outside])
    assert stage.done()
    for path in (*files[1:], outside):
        path.write_text("cut")
    assert not stage.done() and len(stage.missing()) == 3
    stage.begin()
    assert [path.exists() for path in files] == [True, False, False] and outside.read_text() == "cut"
    assert not (folder / "results.json").exists()  # of files that are not there any more


@pytest.mark.parametrize("change", ["folder", "loop", "dangling", "pipe"])
def test_what_stands_in_a_files_place_is_not_the_file(run, change):
    stage = run.stage(run.folder / "a", "a", {"x": 1})
    stage.begin()
    path = run.folder / "a/1.png"
    path.write_text("whole")
    stage.finish({"m": 0.5}, files=[path])
    path.unlink()
    {
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path.name),
        "dangling": lambda: path.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(path),
    }[change]()
    assert not stage.done() and stage.missing() == [str(path)]


def test_a_stage_whose_inputs_changed_is_taken_again(run):
    stage = run.stage(run.folder / "a", "a", {"x": 1}, {"masks": "old"})
    stage.begin()
    stage.finish({"m": 0.5})
    assert run.stage(run.folder / "a", "a", {"x": 1}, {"masks": "old"}).done()
    assert not run.stage(run.folder / "a", "a", {"x": 1}, {"masks": "new"}).done()


@pytest.mark.parametrize(("name", "text"), [("settings.json", None), ("settings.json", "[]"), ("results.json", "{}")])
def test_a_stage_that_cannot_tell_what_it_holds_says_what_to_delete(run, name, text):
    stage = run.stage(run.folder / "a", "a", {"x": 1})
    stage.begin()
    stage.finish({"m": 0.5})
    path = run.folder / "a" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=f"Delete {run.folder / 'a'} to make|Delete it and run the stage again"):
        stage.done()
    path.unlink() if name == "results.json" else shutil.rmtree(run.folder / "a")
    assert not stage.done()


@pytest.mark.parametrize("content", [None, "", "[", "{}", "7", "null"])
def test_a_damaged_stamp_of_the_code_is_written_anew(tmp_path, content):
    path = stamp_code(tmp_path)
    whole, when = path.read_text(), path.stat().st_mtime_ns
    assert stamp_code(tmp_path).stat().st_mtime_ns == when  # newer, and all notebooks would be executed again
    path.unlink() if content is None else path.write_text(content)
    assert stamp_code(tmp_path).read_text() == whole


def test_two_processes_do_not_work_in_one_stage(run):
    stage = run.stage(run.folder / "a", "a", {})
    stage.begin()
    code = f"from sscnb.stages import open_run; run = open_run('tiny', run_dir={str(run.folder)!r}); "
    code += "run.stage(run.folder / 'a', 'a', {}).begin()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert f"is being worked on by process {os.getpid()} on" in done.stderr
    stage.finish({})
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_an_infinite_value_is_not_written(run):
    stage = run.stage(run.folder / "a", "a", {})
    stage.begin()
    with pytest.raises(UserError, match="seed/mIoU is infinite"):
        stage.finish({"seed/mIoU": float("inf")})
    assert not (run.folder / "a/results.json").exists()


# --- the data behind a run -----------------------------------------------------------------------------------------


def test_data_that_changed_are_named(tmp_path, photographs):
    options = {"preset": "folder", "run_dir": str(tmp_path / "run"), "data_root": str(photographs)}
    run = open_run(**options)
    prepare_data(run)
    before = run.data_hash()
    Image.new("L", (64, 48)).save(photographs / "SegmentationClass/001.png")  # masks are for evaluation
    assert open_run(**options).data_hash() == before
    path = photographs / "labels.csv"
    text = path.read_text()
    path.write_text(text.replace("000,disc", "000,square"))
    for _ in range(2):
        assert f"changed since: {run.dataset_folder / 'labels.csv'}." in refusal(**options)
    path.write_text(text)
    assert open_run(**options).data_hash() == before


def test_measures_follow_their_masks(tmp_path, photographs):
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(photographs))
    prepare_data(run)
    before = run.masks_hash("train")
    assert run.masks_hash("train") == before
    Image.new("L", (64, 56)).save(photographs / "SegmentationClass/001.png")
    assert run.masks_hash("train") != before and run.masks_hash("val") == run.masks_hash("val")


def test_the_hash_changes_with_any_setting(run):
    def digest(settings):
        return run.stage(run.folder, "a", settings).hash

    base = {"x": 1, "nested": {"y": [1, 2]}}
    others = [{"x": 2, "nested": {"y": [1, 2]}}, {"x": 1, "nested": {"y": [2, 1]}}, {"x": 1, "nested": {}}, {}]
    assert len({digest(s) for s in [base, *others]}) == 5
    assert digest({"nested": {"y": [1, 2]}, "x": 1}) == digest(base)


def test_result_rows_say_where_they_come_from(run):
    stage = run.stage(run.folder / "a", "measure", {"x": 1}, variant="drs", seed=2, split="val")
    stage.begin()
    (row, empty) = stage.finish({"seed/mIoU": 0.5, "seed/IoU/cow": float("nan")}, device="processor")["rows"]
    expected = {"metric": "seed/mIoU", "value": 0.5, "stage": "measure", "preset": "tiny", "config": stage.hash}
    expected |= {"variant": "drs", "seed": 2, "split": "val", "device": "processor"}
    assert {k: row[k] for k in expected} == expected
    assert row["commit"] and row["utc"].endswith("+00:00") and row["seconds"] >= 0 and row["machine"]
    assert set(row["versions"]) >= {"torch", "numpy", "timm"} and row["python"].startswith("3.")
    assert empty["value"] is None
    assert json.loads((run.folder / "a/results.json").read_text())["rows"] == [row, empty]


def test_rows_are_gathered_from_all_stages(run):
    for name, value in {"b/inner": 2, "a": 1}.items():
        stage = run.stage(run.folder / name, name, {})
        stage.begin()
        stage.finish({"m": value})
    write_json(run.folder / "dataset/results.json", {"rows": [{"metric": "not ours"}]})
    (run.folder / "c").mkdir()
    assert [(row["stage"], row["value"]) for row in run.rows()] == [("a", 1), ("b/inner", 2)]


def test_what_a_stage_builds_on(run):
    folder = run.folder / "a"
    with pytest.raises(UserError, match="run notebook 05_x first") as caught:
        run.done_hash(folder, "05_x")
    assert str(folder) in str(caught.value)
    stage = run.stage(folder, "a", {})
    stage.begin()
    with pytest.raises(UserError, match="not finished"):
        run.done_hash(folder, "05_x")
    stage.finish({})
    assert run.done_hash(folder, "05_x") == stage.hash == read_json(folder / "settings.json")["hash"]


def test_provenance_without_git(monkeypatch, tmp_path):
    provenance.cache_clear()
    monkeypatch.setattr(sys.modules["sscnb.stages.provenance"], "project_root", lambda: tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    try:
        assert provenance()["commit"] == "unknown"
    finally:
        provenance.cache_clear()


def test_a_run_cannot_be_changed_in_place(run):
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.seed = 3
