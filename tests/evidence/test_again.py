"""Reference rows can be kept by a command, and made again by those that are printed."""

import json
import shlex
from pathlib import Path

import pytest
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT

from sscnb.commands import cli
from sscnb.commands.cli import main
from sscnb.evidence.again import commands_again, commands_text
from sscnb.evidence.report import REFERENCE_SETS, kept_rows, reference_rows
from sscnb.files import read_json
from sscnb.settings import load_config
from sscnb.stages.run import open_run

ROOT = Path(__file__).resolve().parents[2]


def trained(variant, seed):
    return {"stage": "cam", "preset": "small", "variant": variant, "seed": seed}


def asked(command: str) -> tuple[str, dict]:
    """The preset and the overrides of a command, as the command line reads them."""
    words = shlex.split(command.replace("\\\n", " "))
    options = cli._parser().parse_args(words[words.index("sscnb") + 1 :])
    return options.preset, options.overrides


def test_one_command_for_the_variants_of_the_same_random_seeds():
    rows = [trained(v, s) for v in ("baseline", "ssc") for s in (0, 1)] + [trained("ssc@modulation.beta=0.5", 0)]
    rows += [{"stage": "pseudo", "variant": "ssc", "seed": 0, "crf": crf} for crf in ("none", "dense")]
    commands = commands_again("scenes", rows, {"cam.epochs": 3})
    found = [asked(command) for command in commands]
    both = {"cam.epochs": 3, "variants": ["baseline", "ssc"], "seeds": [0, 1]}
    assert found == [
        ("small", both | {"irn.crf": "dense"}),
        ("small", both | {"irn.crf": "none"}),
        ("small", {"cam.epochs": 3, "variants": ["ssc@modulation.beta=0.5"], "seeds": [0]}),
    ]
    assert "--data-root /data/voc/VOCdevkit/VOC2012 " in commands_again("voc_animals", rows, {})[0]


def test_the_commands_of_the_kept_rows_are_understood():
    for name in REFERENCE_SETS:
        for command in commands_again(name, kept_rows(name), {}):
            preset, overrides = asked(command)
            config = load_config(preset, overrides)
            assert config.variants and f"runs/{name}" in command
    assert commands_text().count("```sh") == len(reference_rows())


def test_keep(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sscnb.evidence.report.project_root", lambda: tmp_path)
    run = open_run("tiny", run_dir=str(tmp_path / "run"), overrides={"cam.epochs": 1})
    words = ["keep", "--run-dir", str(run.folder), "--preset", "tiny", "--overrides", '{"cam.epochs": 1}', "--name"]
    assert main([*words, "scenes"]) == 2 and "no results on split train or val" in capsys.readouterr().err
    for name, labels in {"a": {"split": "train"}, "b": {"split": "other"}}.items():
        stage = run.stage(run.folder / name, "seeds", {}, variant="drs", seed=0, **labels)
        stage.begin()
        stage.finish({"seed/mIoU": 0.25, "seed/IoU/cow": 0.5})
    assert main([*words, "scene"]) == 2 and "did you mean 'scenes'" in capsys.readouterr().err
    assert main([*words, "scenes"]) == 0 and "split train, val" in capsys.readouterr().out
    kept = read_json(tmp_path / "book/results/scenes.json")
    assert kept["made"] == {"preset": "tiny", "overrides": {"cam.epochs": 1}, "data": ""}
    assert [group["values"] for group in kept["groups"]] == [{"seed/mIoU": 0.25}]
    assert main([*words, "scenes", "--split", "other"]) == 0
    assert [group["split"] for group in read_json(tmp_path / "book/results/scenes.json")["groups"]] == ["other"]
    assert json.dumps(reference_rows())


@pytest.mark.parametrize("checksum", [DATASET_YEAR_DICT["2012"]["md5"], SBDataset.md5])
def test_checksums_are_those_that_are_checked(checksum):
    assert f"MD5 `{checksum}`" in (ROOT / "book/reference_rows.md").read_text(encoding="utf-8")
