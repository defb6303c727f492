"""The stages of segmentation on a dozen scenes: what they write, how they go on, and what they refuse."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb.commands.cli import main
from sscnb.datasets import open_dataset
from sscnb.datasets.palette import save_mask, voc_palette
from sscnb.errors import UserError
from sscnb.evaluation.masks import ConfusionMatrix
from sscnb.files import write_json
from sscnb.segmentation.inference import predict_mask
from sscnb.settings.config import load_config, override, settings_dict
from sscnb.settings.variants import predicted_splits, segmentation_sources
from sscnb.stages import segmentation as stage_segmentation
from sscnb.stages.by_name import planned
from sscnb.stages.data import prepare_data
from sscnb.stages.predictions import evaluate_segmentation, evaluate_train, predict_split, predict_train
from sscnb.stages.run import open_run
from sscnb.stages.segmentation import load_net, segmentation_stage, train_segmentation

SMALL = {
    "data.scenes.size": 48,
    "data.scenes.train": 8,
    "data.scenes.val": 4,
    "segmentation.weights": "random",
    "segmentation.crop": 48,
    "segmentation.rates": [1, 2],
    "segmentation.batch_size": 4,
    "segmentation.epochs": 2,
    "segmentation.lr": 1e-3,
    "segmentation.long_side": 0,
    "irn.crf": "none",
}


def values(result) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in result["rows"]}


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def make_run(folder, **changes):
    return open_run(
        "tiny", run_dir=str(folder), overrides=SMALL | {k.replace("__", "."): v for k, v in changes.items()}
    )


def fake_pseudo_masks(run, variant="baseline", seed=0, crf="none", shift=3):
    """Stand in for chapter 5: true masks moved aside, trusted in the upper half."""
    folder, dataset = run.irn_folder(variant, seed, crf), run.dataset()
    for image_id in dataset.ids(run.config.data.train_split):
        mask = dataset.mask(image_id)
        save_mask(folder / f"pseudo_masks/{image_id}.png", np.roll(np.where(mask == 255, 0, mask), shift, 1))
        trust = np.zeros(mask.shape, np.uint8)
        trust[: len(mask) // 2] = 255
        save_mask(folder / f"confidence/{image_id}.png", trust)
    stage = run.stage(folder / "pseudo_masks", "pseudo", {"variant": variant, "shift": shift, "crf": crf})
    stage.begin()
    stage.finish({"images": 8})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with everything done for the truth and for the baseline; not to be changed."""
    run = make_run(tmp_path_factory.mktemp("finished") / "run")
    prepare_data(run)
    fake_pseudo_masks(run)
    for source in ("truth", "baseline"):
        for stage in (train_segmentation, predict_split, evaluate_segmentation):
            stage(run, source)
    return run


@pytest.fixture
def run(finished, tmp_path):
    """The same, to be changed."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return make_run(tmp_path / "run")


# --- what they write -----------------------------------------------------------------------------------------------


def test_training(finished):
    folder = finished.folder / "segmentation/efficientnet_lite0/baseline/seed0"
    assert folder == finished.segmentation_folder("baseline")
    result = train_segmentation(finished)
    assert [set(epoch) for epoch in result["history"]] == [{"epoch", "loss", "segmentation", "seconds"}] * 2
    row = result["rows"][0]
    assert (row["variant"], row["seed"], row["pseudo_crf"], row["backbone"]) == (
        "baseline",
        0,
        "none",
        "efficientnet_lite0",
    )
    assert values(result)["train_images"] == 8 and result["classes"] == list(finished.dataset().classes)
    truth = train_segmentation(finished, "truth")
    assert truth["rows"][0]["variant"] == "truth" and "pseudo_crf" not in truth["rows"][0]
    assert truth["history"][1]["loss"] != result["history"][1]["loss"]


def test_predictions_are_those_of_the_last_checkpoint(finished):
    stage, dataset = segmentation_stage(finished, "baseline", 0), finished.dataset()
    net = load_net(stage.folder, finished.config.segmentation, 9, stage.hash)
    saved = torch.load(stage.folder / "checkpoint.pt", weights_only=True)
    assert torch.equal(net.branches[0].weight, saved["model"]["net.branches.0.weight"])
    assert {p.stem for p in (stage.folder / "predictions").glob("*.png")} == set(dataset.ids("val"))
    for image_id in dataset.ids("val"):
        with Image.open(stage.folder / f"predictions/{image_id}.png") as picture:
            assert picture.mode == "P" and picture.getpalette()[:12] == voc_palette()[:12]
            assert np.array_equal(picture, predict_mask(net, dataset.image(image_id), finished.config.segmentation))


def test_the_evaluation_counts_all_images(finished):
    dataset, result = finished.dataset(), evaluate_segmentation(finished)
    total, folder = ConfusionMatrix(9), finished.segmentation_folder("baseline") / "predictions"
    for image_id in dataset.ids("val"):
        total.update(np.array(Image.open(folder / f"{image_id}.png")), dataset.mask(image_id))
    found = values(result)
    assert result["counts"] == total.counts.tolist() and set(result["images"]) == set(dataset.ids("val"))
    assert found["segmentation/mIoU"] == pytest.approx(total.miou())
    assert found["segmentation/mIoU_low"] <= found["segmentation/mIoU_high"]
    assert found["segmentation/accuracy"] == pytest.approx(total.accuracy())
    assert set(found) >= {
        "segmentation/over",
        "segmentation/under",
        "segmentation/boundary_IoU",
        "segmentation/IoU/background",
    }
    row = result["rows"][0]
    assert (row["variant"], row["seed"], row["split"], row["crf"], row["pseudo_crf"]) == (
        "baseline",
        0,
        "val",
        "none",
        "none",
    )


def test_the_truth_against_itself_is_perfect(run):
    dataset, folder = run.dataset(), run.segmentation_folder("baseline")
    for image_id in dataset.ids("val"):
        mask = dataset.mask(image_id)
        save_mask(folder / f"predictions/{image_id}.png", np.where(mask == 255, 3, mask))
    shutil.rmtree(folder / "evaluation")
    result = evaluate_segmentation(run)
    found = values(result)
    assert [found[f"segmentation/{name}"] for name in ("mIoU", "mIoU_low", "mIoU_high", "accuracy")] == [1, 1, 1, 1]
    assert found["segmentation/over"] == found["segmentation/under"] == found["segmentation/confused"] == 0
    assert result["failures"] == [] and set(result["images"].values()) == {1}


def test_failures_are_ranked(run):
    dataset, folder = run.dataset(), run.segmentation_folder("baseline")
    for image_id in dataset.ids("val"):
        first = int(np.flatnonzero(dataset.labels(image_id))[0]) + 1
        save_mask(folder / f"predictions/{image_id}.png", np.full(dataset.mask(image_id).shape, first))
    shutil.rmtree(folder / "evaluation")
    failures = evaluate_segmentation(run)["failures"]
    taken = [failure["share"] for failure in failures if failure["kind"] == "background"]
    assert taken == [1, 1, 1, 1]
    alike = [failure["share"] for failure in failures if failure["kind"] == "look-alike"]
    assert alike == sorted(alike, reverse=True)


def test_the_images_of_the_seeds_are_measured_too(run):
    predict_train(run)
    result = evaluate_train(run)
    assert result["rows"][0]["split"] == "train" and len(result["images"]) == 8
    assert (run.segmentation_folder("baseline") / "evaluation_train/results.json").is_file()
    assert evaluate_segmentation(run)["rows"][0]["split"] == "val"  # beside those that were kept back


def test_which_splits_are_predicted(finished, tmp_path):
    assert predicted_splits(finished.config, finished.dataset()) == ["val", "train"]
    assert predicted_splits(finished.config, None) == ["val", "train"]
    assert predicted_splits(override(finished.config, {"segmentation.on_train": False}), None) == ["val"]
    root = make_photographs(tmp_path / "mine")
    (root / "ImageSets/Segmentation/val.txt").unlink()
    assert predicted_splits(load_config("folder"), open_dataset(root)) == ["train"]
    assert predicted_splits(load_config("coco"), None) == ["val"]
    names = [name for name, _ in planned(finished)]
    assert "train_eval from truth, random seed 0" in names
    assert not any("train_" in name for name, _ in planned(make_run(finished.folder, segmentation__on_train=False)))


def test_from_the_command_line(finished, capsys):
    words = ["segmentation", "predictions", "segmentation_eval", "--preset", "tiny", "--run-dir", finished.folder]
    words += ["--overrides", json.dumps(SMALL)]
    for choice in (["--source", "truth"], ["--variant", "baseline"]):
        assert main([str(word) for word in ("run", *words, *choice)]) == 0
        measured = values(evaluate_segmentation(finished, choice[1]))["segmentation/mIoU"]
        assert f"segmentation_eval: segmentation/mIoU {measured:.4g}" in capsys.readouterr().out
    assert main([str(word) for word in ("run", *words, "--source", "thruth")]) == 2
    assert "there is no variant 'thruth'" in capsys.readouterr().err


def test_what_is_learned_from(finished, tmp_path):
    config = replace(finished.config, variants=("drs", "ssc", "baseline"), refined=("baseline", "ssc"))
    assert segmentation_sources(config, None) == ["ssc", "baseline", "truth"]
    assert segmentation_sources(config, finished.dataset()) == ["ssc", "baseline", "truth"]
    dataset = open_dataset(make_photographs(tmp_path / "mine", masks=False))
    assert segmentation_sources(replace(config, refined=()), dataset) == ["drs"]


# --- how they go on ------------------------------------------------------------------------------------------------


def test_finished_stages_touch_nothing(run):
    before = snapshot(run.folder)
    for stage in (train_segmentation, predict_split, evaluate_segmentation):
        assert stage(run)["rows"] and stage(run, "truth")["rows"]
    assert snapshot(run.folder) == before


def test_resumed_training_ends_like_the_uninterrupted(run, monkeypatch):
    folder = run.segmentation_folder("baseline")
    whole = torch.load(folder / "checkpoint.pt", weights_only=True)
    shutil.rmtree(folder)
    calls = []

    def stop(objective, batch, epoch):
        calls.append(epoch)
        if len(calls) == 4:  # in the second epoch's second step
            raise KeyboardInterrupt
        return original(objective, batch, epoch)

    original = stage_segmentation.SegmentationObjective.forward
    monkeypatch.setattr(stage_segmentation.SegmentationObjective, "forward", stop)
    with pytest.raises(KeyboardInterrupt):
        train_segmentation(run)
    assert not (folder / "results.json").exists()
    train_segmentation(run)
    assert calls == [0, 0, 1, 1, 1, 1]
    resumed = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(v, resumed["model"][k]) for k, v in whole["model"].items())


def test_resumed_predictions_leave_the_others_alone(run):
    folder, ids = run.segmentation_folder("baseline") / "predictions", run.dataset().ids("val")
    before = {i: (folder / f"{i}.png").read_bytes() for i in ids}
    (folder / "results.json").unlink()
    (folder / f"{ids[1]}.png").unlink()
    times = {i: (folder / f"{i}.png").stat().st_mtime_ns for i in ids if i != ids[1]}
    predict_split(run)
    assert {i: (folder / f"{i}.png").read_bytes() for i in ids} == before
    assert {i: (folder / f"{i}.png").stat().st_mtime_ns for i in times} == times


def test_what_a_stage_depends_on(finished):
    def digest(**changes):
        overrides = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
        return segmentation_stage(replace(finished, config=load_config("tiny", overrides)), "baseline", 0).hash

    base = digest()
    looks = {"segmentation.flip": False, "segmentation.crf": "dense", "segmentation.test_size": 32}
    looks |= {"segmentation.fuse": "max", "segmentation.interpolation": "bilinear", "segmentation.workers": 3}
    assert digest(**looks) == base
    assert digest(segmentation__epochs=3) != base and digest(segmentation__confidence=True) != base
    assert digest(segmentation__color=True) != base and digest(segmentation__min_lr=1e-5) != base
    assert segmentation_stage(finished, "truth", 0).hash != base


def test_other_pseudo_masks_are_noticed(run):
    fake_pseudo_masks(run, shift=1)
    text = refusal(train_segmentation, run)
    assert str(run.segmentation_folder("baseline")) in text and "masks" in text


def test_both_kinds_of_pseudo_masks_side_by_side(run):
    fake_pseudo_masks(run, crf="dense", shift=0)
    train_segmentation(run, crf="dense")
    assert (run.folder / "segmentation/efficientnet_lite0/baseline@irn.crf=dense/seed0/results.json").is_file()
    assert train_segmentation(run, crf="none")["rows"] == train_segmentation(run)["rows"]


# --- methods -------------------------------------------------------------------------------------------------------


def test_confidence_changes_what_is_learned(run, tmp_path):
    shutil.rmtree(run.folder / "segmentation")
    changed = make_run(run.folder, segmentation__confidence=True, segmentation__epochs=1)
    trusted = train_segmentation(changed)["history"][0]["loss"]
    shutil.rmtree(run.folder / "segmentation")
    for path in (run.irn_folder("baseline", 0) / "confidence").glob("*.png"):
        save_mask(path, np.full(np.array(Image.open(path)).shape, 255))
    everything = train_segmentation(changed)["history"][0]["loss"]
    shutil.rmtree(run.folder / "segmentation")
    plain = train_segmentation(make_run(run.folder, segmentation__epochs=1))["history"][0]["loss"]
    assert everything == plain != trusted


def test_cotraining(run):
    shutil.rmtree(run.folder / "segmentation")
    run = make_run(run.folder, segmentation__method="cotrain", segmentation__epochs=1)
    history = train_segmentation(run)["history"]
    assert set(history[0]) == {"epoch", "loss", "supervised", "mutual", "seconds"} and history[0]["mutual"] > 0
    predict_split(run)
    assert 0 <= values(evaluate_segmentation(run))["segmentation/mIoU"] <= 1
    saved = torch.load(run.segmentation_folder("baseline") / "checkpoint.pt", weights_only=True)["model"]
    assert {name.split(".")[1] for name in saved} == {"first", "second"}


def test_the_release_in_small(run):
    """Everything that `voc_released` does, on a few scenes: area crops, colours, batch norm, mixing, maximum."""
    shutil.rmtree(run.folder / "segmentation")
    released = settings_dict(load_config("voc_released").segmentation)
    kept = ("backbone", "weights", "output_stride", "rates", "crop", "batch_size", "lr", "workers", "precision", "crf")
    changed = {f"segmentation.{name}": value for name, value in released.items() if name not in kept}
    changed |= {"segmentation.epochs": 3, "segmentation.test_size": 64}
    run = make_run(run.folder, **changed)
    history = train_segmentation(run)["history"]
    assert len(history) == 3 and all(np.isfinite(epoch["loss"]) for epoch in history)
    predict_split(run)
    assert 0 <= values(evaluate_segmentation(run))["segmentation/mIoU"] <= 1


# --- what they refuse ----------------------------------------------------------------------------------------------


def test_what_comes_first(tmp_path):
    run = make_run(tmp_path / "run")
    assert "01_data_preparation" in refusal(train_segmentation, run, "truth")
    prepare_data(run)
    assert "05_irn_refinement" in refusal(train_segmentation, run)
    fake_pseudo_masks(run)
    assert "06_segmentation_training" in refusal(predict_split, run)
    assert not (run.folder / "segmentation").exists()


def test_predictions_come_before_their_evaluation(run):
    shutil.rmtree(run.segmentation_folder("baseline") / "predictions")
    assert "06_segmentation_training" in refusal(evaluate_segmentation, run)


def test_unknown_names(run):
    assert "did you mean 'baseline'" in refusal(train_segmentation, run, "basline")
    for key, value in (
        ("method", "cotrane"),
        ("crf", "dens"),
        ("fuse", "maximum"),
        ("interpolation", "nearest"),
        ("batch_norm", "eval"),
        ("crops", "random"),
        ("area", [0.5, 1.1]),
        ("ratio", [0.0, 1.0]),
        ("divide_by", "none"),
        ("mix", "last"),
        ("contour", "all"),
        ("mix_probability", 2),
        ("mix_certainty", 1),
        ("min_lr", -1),
        ("test_size", -1),
        ("rates", []),
        ("scale", [2.0, 1.0]),
        ("test_scales", [0]),
    ):
        text = refusal(load_config, "tiny", {f"segmentation.{key}": value})
        assert f"segmentation.{key}" in text and "it should" in text


def test_a_damaged_prediction(run):
    folder = run.segmentation_folder("baseline")
    path = folder / f"predictions/{run.dataset().ids('val')[1]}.png"
    path.write_bytes(path.read_bytes()[:40])
    shutil.rmtree(folder / "evaluation")
    text = refusal(evaluate_segmentation, run)
    assert text.count(str(path)) == 2 and "to have it made again" in text


def test_photographs_without_masks_or_validation_split(tmp_path):
    root = make_photographs(tmp_path / "mine", masks=False)
    (root / "ImageSets/Segmentation/val.txt").unlink()
    overrides = {k: v for k, v in SMALL.items() if not k.startswith("data.")} | {"segmentation.batch_size": 2}
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=overrides)
    prepare_data(run)
    assert "no true masks" in refusal(train_segmentation, run, "truth")
    folder = run.irn_folder("baseline", 0)
    for image_id in run.dataset().ids("train"):
        height, width = run.dataset().image(image_id).shape[:2]
        save_mask(folder / f"pseudo_masks/{image_id}.png", np.zeros((height, width), np.uint8))
    write_json(folder / "pseudo_masks/settings.json", {"hash": "0123456789ab", "settings": {}})
    write_json(folder / "pseudo_masks/results.json", {"rows": []})
    train_segmentation(run)
    assert values(predict_split(run))["predicted/images"] == 4
    size = Image.open(run.segmentation_folder("baseline") / "predictions/001.png").size
    assert size == Image.open(root / "JPEGImages/001.jpg").size
    assert "no masks for split 'train'" in evaluate_segmentation(run)["note"]
    assert json.loads((folder / "pseudo_masks/settings.json").read_text())["hash"] == "0123456789ab"


@pytest.mark.parametrize("preset", ["voc", "voc_released"])
def test_the_check_of_the_full_presets_changes_what_it_says(tmp_path, preset):
    path = Path(__file__).resolve().parents[2] / "benchmarks/voc_two_iterations.py"
    spec = importlib.util.spec_from_file_location("voc_two_iterations", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert preset in module.PRESETS
    own = load_config(preset).segmentation.batch_size
    config = load_config(preset, module.changes(dict.fromkeys(module.NETWORKS, "file.pth"), "none", own))
    named = {"weights", "epochs", "workers", "crf", "mix_warmup", "precision"}
    for part in ("cam", "irn", "segmentation", "pseudo", "inference", "superpixels"):
        values, expected = settings_dict(getattr(config, part)), settings_dict(getattr(load_config(preset), part))
        assert {k for k in values if values[k] != expected[k]} <= named
    steps = config.cam.epochs * (module.IMAGES // config.cam.batch_size)
    assert steps == config.irn.epochs == config.segmentation.epochs == 2
    assert module.IMAGES == config.irn.batch_size == config.segmentation.batch_size
    assert config.modulation.warmup_epochs < config.cam.epochs
    assert config.segmentation.mix_warmup < config.segmentation.epochs
    root = make_photographs(tmp_path / "mine", count=20)
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(f"{n:03d}" for n in range(20)))
    dataset = open_dataset(module.sixteen_images(root, tmp_path / "linked", 3))
    assert set(dataset.splits) == {module.SPLIT, module.FEW} and len(dataset.ids(module.SPLIT)) == 16
    assert dataset.ids(module.FEW) == dataset.ids(module.SPLIT)[:3]
    assert dataset.has_masks(module.SPLIT) and dataset.image("015").any()
