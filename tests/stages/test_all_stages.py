"""The stages, one after the other on a dozen scenes: what they write, what they take as done, and what they refuse."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb.errors import UserError
from sscnb.evaluation.boundary import BoundaryIoU
from sscnb.evaluation.masks import ConfusionMatrix
from sscnb.evaluation.thresholds import ThresholdCurve, seed_from_activation
from sscnb.method.cam import class_activation
from sscnb.method.multi_scale import scale_maps
from sscnb.networks.tensors import to_tensor
from sscnb.settings.config import load_config
from sscnb.stages.cam import cam_stage, infer_cams, load_cam_net, load_objective, train_cam
from sscnb.stages.data import make_superpixels, prepare_data
from sscnb.stages.irn import make_ir_labels
from sscnb.stages.run import only_looking, open_run
from sscnb.stages.seeds import evaluate_seeds, load_cams, load_grid_cams
from sscnb.stages.stage import NotFinished

SMALL = {
    "data.scenes.size": 64,
    "data.scenes.train": 12,
    "data.scenes.val": 4,
    "cam.crop": 64,
    "cam.resize": [56, 80],
    "cam.batch_size": 4,
    "cam.epochs": 1,
    "reconstruction.width": 8,
    "modulation.warmup_epochs": 0,
    "superpixels.max_regions": 20,
    "superpixels.workers": 1,
    "inference.batch_size": 5,
}


def values(result) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in result["rows"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with everything done for the baseline; not to be changed."""
    run = open_run("tiny", run_dir=str(tmp_path_factory.mktemp("finished") / "run"), overrides=SMALL)
    for stage in (prepare_data, make_superpixels, train_cam, infer_cams, evaluate_seeds):
        stage(run)
    return run


@pytest.fixture
def run(finished, tmp_path):
    """The same, to be changed."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return open_run("tiny", run_dir=str(tmp_path / "run"), overrides=SMALL)


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


# --- what they write -----------------------------------------------------------------------------------------------


def test_data(finished):
    result = prepare_data(finished)
    assert values(result) == {"images/train": 12, "images/val": 4}
    dataset = finished.dataset()
    counted = sum(dataset.labels(i) for i in dataset.ids("train"))
    assert result["counts"]["train"] == counted.tolist() and result["classes"] == list(dataset.classes)


def test_superpixels(finished):
    found = values(make_superpixels(finished))
    maps = {i: np.array(Image.open(finished.folder / f"superpixels/{i}.png")) for i in finished.dataset().ids("train")}
    assert found["images"] == 12 == len(maps)
    counts = [len(np.unique(regions)) for regions in maps.values()]
    assert found["mean_regions"] == pytest.approx(np.mean(counts)) and 2 < np.mean(counts) <= 20
    assert all(regions.shape == (64, 64) for regions in maps.values())


def test_cams_are_those_of_the_trained_network(finished):
    dataset, net = finished.dataset(), load_cam_net(finished, "baseline", 0)
    folder = finished.cam_folder("baseline") / "cams"
    assert {p.stem for p in folder.glob("*.npz")} == {*dataset.ids("train"), *dataset.ids("val")}
    for image_id in dataset.ids("train")[:3]:
        with np.load(folder / f"{image_id}.npz") as stored:
            classes, maps = stored["classes"], stored["maps"]
        assert classes.tolist() == (np.flatnonzero(dataset.labels(image_id)) + 1).tolist()
        _, (expected,) = scale_maps(net, [to_tensor(dataset.image(image_id))[None]])
        expected = expected[0, classes - 1]  # 4 x 4 cells: 64 pixels at stride 16
        assert maps.shape == (len(classes), 16) and maps.dtype == np.float32
        torch.testing.assert_close(torch.from_numpy(maps), expected.flatten(1))
        scores, found = load_cams(finished, "baseline", 0, image_id, (64, 64))
        full = F.interpolate(expected[None], size=(64, 64), mode="bilinear", align_corners=False)[0]
        assert np.array_equal(found, classes) and scores.dtype == np.float32
        np.testing.assert_allclose(scores, class_activation(full).numpy(), atol=1e-5)
        grid, _ = load_grid_cams(finished, "baseline", 0, image_id, (16, 16))
        coarse = F.interpolate(expected[None], size=(16, 16), mode="bilinear", align_corners=False)[0]
        np.testing.assert_allclose(grid, class_activation(coarse).numpy(), atol=1e-5)


def test_cams_of_a_run_that_has_none_of_val_are_completed(run):
    """As runs had them before thresholds were chosen on `val`."""
    folder = run.cam_folder("baseline") / "cams"
    before = infer_cams(run)
    of_val = [f"{i}.npz" for i in run.dataset().ids("val")]
    for name in of_val:
        (folder / name).unlink()
        del before["files"][name]
    (folder / "results.json").write_text(json.dumps(before))
    (run.cam_folder("baseline") / "seeds/results.json").unlink()
    kept = folder / f"{run.dataset().ids('train')[0]}.npz"
    written = kept.stat().st_mtime_ns
    with pytest.raises(NotFinished):
        infer_cams(only_looking(run))
    assert infer_cams(run)["files"].keys() == {*before["files"], *of_val}
    assert kept.stat().st_mtime_ns == written
    assert "seed/tuned_mIoU" in values(evaluate_seeds(run))


def test_cams_of_several_scales_and_a_long_side(run):
    """Scales are made from the image, maps are laid on the padded image, and both follow `long_side`."""
    image_id, changes = run.dataset().ids("train")[0], {"inference.scales": [1.0, 0.5], "inference.long_side": 50}
    run = replace(run, config=load_config("tiny", SMALL | changes))
    shutil.rmtree(run.cam_folder("baseline") / "cams")
    infer_cams(run)
    net, image = load_cam_net(run, "baseline", 0), Image.fromarray(run.dataset().image(image_id))
    total = 0
    for side in (50, 25):
        scaled = to_tensor(np.array(image.resize((side, side), Image.Resampling.BICUBIC)))[None]
        with torch.no_grad():
            features = F.relu(net(scaled)[1]) + F.relu(net(scaled.flip(-1))[1]).flip(-1)
        total = total + F.interpolate(features, size=(64, 64), mode="bilinear")[..., :50, :50]  # 50 padded to 64
    expected = F.interpolate(total, size=(64, 64), mode="bilinear")[0]
    scores, classes = load_cams(run, "baseline", 0, image_id, (64, 64))
    np.testing.assert_allclose(scores, class_activation(expected[classes - 1]).numpy(), atol=1e-4)


def test_seeds_are_measured_on_all_images(finished):
    dataset, result = finished.dataset(), evaluate_seeds(finished)
    found, number = values(result), len(dataset.classes) + 1
    total, contours, best = ConfusionMatrix(number), BoundaryIoU(number), BoundaryIoU(number)
    for image_id in dataset.ids("train"):
        target = dataset.mask(image_id)
        scores, classes = load_cams(finished, "baseline", 0, image_id, target.shape)
        assert scores.shape == (len(classes), 64, 64)
        total.update(seed_from_activation(scores, classes, 0.2), target)
        contours.update(seed_from_activation(scores, classes, 0.2), target)
        best.update(seed_from_activation(scores, classes, found["seed/best_threshold"]), target)
    assert result["counts"] == total.counts.tolist()
    assert found["seed/boundary_IoU"] == pytest.approx(contours.miou())
    assert found["seed/best_boundary_IoU"] == pytest.approx(best.miou())
    assert found["seed/mIoU"] == pytest.approx(total.miou())
    assert found["seed/best_mIoU"] >= found["seed/mIoU"] - 1e-9
    assert max(result["curve"]["mIoU"]) == pytest.approx(found["seed/best_mIoU"])
    assert set(result["images"]) == set(dataset.ids("train"))


def test_the_tuned_threshold_is_the_best_of_the_validation_split(finished):
    dataset, found = finished.dataset(), values(evaluate_seeds(finished))
    curve = ThresholdCurve(len(dataset.classes) + 1)
    for image_id in dataset.ids("val"):
        target = dataset.mask(image_id)
        curve.update(*load_cams(finished, "baseline", 0, image_id, target.shape), target)
    assert found["seed/tuned_threshold"] == curve.best()[0]
    total = ConfusionMatrix(len(dataset.classes) + 1)
    for image_id in dataset.ids("train"):
        target = dataset.mask(image_id)
        scores, classes = load_cams(finished, "baseline", 0, image_id, target.shape)
        total.update(seed_from_activation(scores, classes, curve.best()[0]), target)
    assert found["seed/tuned_mIoU"] == pytest.approx(total.miou())


def test_rows_name_variant_seed_and_split(finished):
    rows = finished.rows()
    by_stage = {row["stage"]: row for row in rows}
    assert set(by_stage) == {"data", "superpixels", "cam", "cams", "seeds"}
    assert {(by_stage[s]["variant"], by_stage[s]["seed"]) for s in ("cam", "cams", "seeds")} == {("baseline", 0)}
    assert by_stage["seeds"]["split"] == "train" and by_stage["cams"]["split"] == "val"
    assert {row["metric"] for row in rows} >= {"classifier/mAP", "train_loss", "seed/over", "seed/IoU/background"}


def test_the_whole_method_trains(run):
    result = train_cam(run, "ssc", 1)
    (epoch,) = result["history"]
    assert set(epoch) == {"epoch", "loss", "classification", "reconstruction", "alignment", "seconds", "gap"}
    assert epoch["alignment"] > 0 and epoch["reconstruction"] > 0
    saved = torch.load(run.cam_folder("ssc", 1) / "checkpoint.pt", weights_only=True)["model"]
    assert {name.split(".")[0] for name in saved} == {"net", "decoder"}  # the loss network is not saved
    objective = load_objective(run, "ssc", 1)
    assert objective.decoder is not None and not objective.training
    assert torch.equal(objective.net.classifier.weight, saved["net.classifier.weight"])
    infer_cams(run, "ssc", 1)
    assert values(evaluate_seeds(run, "ssc", 1))["seed/mIoU"] > 0


def test_seeds_train_differently_and_repeatably(run):
    first = values(train_cam(run, "drs", 1))["train_loss"]
    other = values(train_cam(run, "drs", 2))["train_loss"]
    shutil.rmtree(run.cam_folder("drs", 1))
    assert values(train_cam(run, "drs", 1))["train_loss"] == first != other


# --- what they take as done ----------------------------------------------------------------------------------------


def test_finished_stages_touch_nothing(run):
    before = snapshot(run.folder)
    for stage in (prepare_data, make_superpixels, train_cam, infer_cams, evaluate_seeds):
        assert stage(run)["rows"]
    assert snapshot(run.folder) == before


def test_stages_depend_on_their_own_settings_alone(finished):
    def digest(name, **overrides):
        changes = SMALL | {key.replace("__", "."): value for key, value in overrides.items()}
        return cam_stage(replace(finished, config=load_config("tiny", changes)), name, 0).hash

    base = digest("baseline")
    assert digest("baseline", modulation__beta=9, reconstruction__beta=9, cam__workers=2) == base
    assert digest("baseline", cam__epochs=5) != base
    assert digest("drs+cdr", reconstruction__beta=9) != digest("drs+cdr") == digest("drs+cdr", modulation__beta=9)
    assert digest("drs+cdr", reconstruction__checkpoint=True) == digest("drs+cdr")
    assert digest("ssc", modulation__beta=9) == digest("ssc@modulation.beta=9") != digest("ssc")
    assert digest("ssc", superpixels__max_regions=9) != digest("ssc")


def test_a_variants_own_inference_settings_are_used(run):
    name = "baseline@inference.scales=[0.5],inference.threshold=0.9"
    shutil.copytree(run.cam_folder("baseline"), run.cam_folder(name))
    for part in ("cams", "seeds"):
        shutil.rmtree(run.cam_folder(name) / part)
    infer_cams(run, name)
    result = evaluate_seeds(run, name)
    assert result["threshold"] == 0.9
    settings = json.loads((run.cam_folder(name) / "cams/settings.json").read_text())["settings"]
    assert settings["inference"]["scales"] == [0.5]
    image_id = run.dataset().ids("train")[0]
    assert not np.array_equal(*(load_cams(run, v, 0, image_id, (64, 64))[0] for v in ("baseline", name)))


def test_interrupted_inference_ends_like_the_uninterrupted(run):
    folder, ids = run.cam_folder("baseline") / "cams", sorted(run.dataset().ids("train"))

    def maps():
        return {i: np.load(folder / f"{i}.npz")["maps"] for i in ids}

    before = maps()
    for image_id in (*ids[2:5], ids[11]):  # parts of the first batch of five and of the last
        (folder / f"{image_id}.npz").unlink()
    (folder / "results.json").unlink()
    second_batch = {i: (folder / f"{i}.npz").stat().st_mtime_ns for i in ids[5:10]}
    infer_cams(run)
    after = maps()
    assert all(np.array_equal(before[i], after[i]) for i in ids)
    assert {i: (folder / f"{i}.npz").stat().st_mtime_ns for i in second_batch} == second_batch  # not made again


# --- what they refuse ----------------------------------------------------------------------------------------------


def test_stages_say_what_comes_first(tmp_path):
    run = open_run("tiny", run_dir=str(tmp_path / "run"), overrides=SMALL)
    assert "01_data_preparation" in refusal(train_cam, run)
    assert "01_data_preparation" in refusal(make_superpixels, run)
    prepare_data(run)
    assert "02_cam_network_training" in refusal(infer_cams, run)
    assert "02_cam_network_training" in refusal(evaluate_seeds, run)
    text = refusal(train_cam, run, "ssc")
    assert str(run.folder / "superpixels") in text and "01_data_preparation" in text
    assert not run.cam_folder("ssc").exists()


def test_unknown_variant(run):
    before = snapshot(run.folder)
    for stage in (train_cam, infer_cams, evaluate_seeds):
        assert "there is no variant 'basline'; did you mean 'baseline'" in refusal(stage, run, "basline")
    assert snapshot(run.folder) == before


@pytest.mark.parametrize("damage", ["garbage", "truncated", "other"])
def test_a_bad_checkpoint(run, damage):
    folder = run.cam_folder("baseline")
    path = folder / "checkpoint.pt"
    if damage == "other":
        torch.save(torch.load(path, weights_only=True) | {"config": "0123456789ab"}, path)
    else:
        path.write_bytes(path.read_bytes()[:5000] if damage == "truncated" else b"garbage")
    results = (folder / "results.json").read_text()
    (folder / "results.json").unlink()  # as if training had been interrupted
    before = snapshot(run.folder)
    text = refusal(train_cam, run)
    assert str(path) in text
    assert ("configuration 0123456789ab" if damage == "other" else "cannot be read") in text
    (folder / "results.json").write_text(results)  # done, but for the checkpoint
    shutil.rmtree(folder / "cams")
    assert "has no trained network" in refusal(infer_cams, run)  # what is not whole is for training to mend
    (folder / "results.json").unlink()
    after = snapshot(run.folder)
    assert all(after[name] == content for name, content in before.items() if "/cams/" not in name)


@pytest.mark.parametrize("length", [0, 30, 400, -5])
def test_damaged_cams(run, length):
    folder = run.cam_folder("baseline")
    image_id = run.dataset().ids("train")[3]
    path = folder / f"cams/{image_id}.npz"
    path.write_bytes(path.read_bytes()[:length])
    shutil.rmtree(folder / "seeds")
    before = snapshot(run.folder)
    assert str(path) in refusal(evaluate_seeds, run)
    after = snapshot(run.folder)
    assert {k: v for k, v in after.items() if not k.endswith("seeds/settings.json")} == before
    path.unlink()
    assert f"{path} is missing" in refusal(evaluate_seeds, run)


def test_a_mask_of_another_size(run):
    path = run.dataset_folder / f"SegmentationClass/{run.dataset().ids('train')[2]}.png"
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(path)
    shutil.rmtree(run.cam_folder("baseline") / "seeds")
    before = snapshot(run.folder)
    text = refusal(evaluate_seeds, run)
    assert str(path) in text and "10x10" in text
    after = snapshot(run.folder)
    assert {k: v for k, v in after.items() if not k.endswith("seeds/settings.json")} == before


def test_an_image_that_broke_after_it_was_checked(run):
    path = run.dataset_folder / f"JPEGImages/{run.dataset().ids('train')[2]}.jpg"
    path.write_bytes(path.read_bytes()[:500])
    before = snapshot(run.folder)
    assert str(path) in refusal(train_cam, run, "drs")
    after = snapshot(run.folder)
    assert {k: v for k, v in after.items() if not k.startswith("cam/drs/")} == before
    assert not (run.cam_folder("drs") / "results.json").exists()


# --- a folder of one's own -----------------------------------------------------------------------------------------


FOLDER = {key: value for key, value in SMALL.items() if not key.startswith("data.")} | {"cam.batch_size": 2}


def test_photographs_without_masks(tmp_path):
    root = make_photographs(tmp_path / "mine", suffix=".png", masks=False)
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=FOLDER)
    before = snapshot(root)
    prepare_data(run)
    train_cam(run)
    assert values(infer_cams(run))["classifier/mAP"] is not None
    with np.load(run.cam_folder("baseline") / "cams/001.npz") as stored:
        assert stored["classes"].tolist() == [2] and stored["grids"].tolist() == [[14, 16], [21, 24]]
    result = evaluate_seeds(run)
    assert result["rows"] == [] and "no masks for split 'train'" in result["note"]
    written = snapshot(run.folder)
    assert evaluate_seeds(run) == result and snapshot(run.folder) == written and snapshot(root) == before


def test_masks_that_are_added_later_are_measured_against(tmp_path):
    root = make_photographs(tmp_path / "mine")
    (root / "SegmentationClass").rename(tmp_path / "masks")
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=FOLDER)
    for stage in (prepare_data, train_cam, infer_cams, evaluate_seeds):
        stage(run)
    (root / "SegmentationClass").mkdir()
    shutil.copy(tmp_path / "masks/001.png", root / "SegmentationClass")
    text = refusal(evaluate_seeds, run)  # neither measured on one image nor left out
    assert "3 of 4 images without masks" in text and "000.png" in text
    (root / "SegmentationClass/001.png").unlink()
    (root / "SegmentationClass").rmdir()
    (tmp_path / "masks").rename(root / "SegmentationClass")
    measured = evaluate_seeds(run)
    assert values(measured)["seed/mIoU"] >= 0 and "note" not in measured and evaluate_seeds(run) == measured


def test_photographs_without_a_validation_split(tmp_path):
    root = make_photographs(tmp_path / "mine")
    (root / "ImageSets/Segmentation/val.txt").unlink()
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=FOLDER)
    assert values(prepare_data(run)) == {"images/train": 4}
    train_cam(run)
    assert infer_cams(run)["rows"] == []
    assert values(evaluate_seeds(run))["seed/mIoU"] > 0


def test_cams_of_the_training_images_are_made_of_what_is_refined(tmp_path):
    root = make_photographs(tmp_path / "mine")
    changes = FOLDER | {"variants": ["baseline", "drs"], "data.seed_split": "val"}
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=changes)
    prepare_data(run)
    ids = {split: {f"{i}.npz" for i in run.dataset().ids(split)} for split in ("train", "val")}
    for variant, splits in {"baseline": ("train", "val"), "drs": ("val",)}.items():
        train_cam(run, variant)
        assert infer_cams(run, variant)["files"].keys() == set().union(*(ids[split] for split in splits))
    text = refusal(make_ir_labels, run, "drs", crf="none")
    assert "4 of 4 training images" in text and '{"refined": ["baseline", "drs"]}' in text
    run = replace(run, config=replace(run.config, refined=("baseline", "drs")))
    assert infer_cams(run, "drs")["files"].keys() == ids["train"] | ids["val"]
    make_ir_labels(run, "drs", crf="none")


def test_a_swept_variant_can_be_refined_as_its_refusal_says(tmp_path):
    root, swept = make_photographs(tmp_path / "mine"), "drs@cam.delta=0.8"
    changes = FOLDER | {"variants": ["drs"], "data.seed_split": "val"}
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=changes)
    prepare_data(run)
    train_cam(run, swept)
    infer_cams(run, swept)
    text = refusal(make_ir_labels, run, swept, crf="none")
    override = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert override == {"variants": ["drs", swept], "refined": ["drs", swept]}
    again = open_run("folder", run_dir=str(run.folder), data_root=str(root), overrides=changes | override)
    infer_cams(again, swept)
    make_ir_labels(again, swept, crf="none")


def test_images_without_any_class_have_no_cams(tmp_path):
    root = make_photographs(tmp_path / "mine")
    labels = (root / "labels.csv").read_text().replace("000,disc", "000,")
    (root / "labels.csv").write_text(labels)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "SegmentationClass/000.png")
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=FOLDER)
    for stage in (prepare_data, train_cam, infer_cams, evaluate_seeds):
        stage(run)
    scores, classes = load_cams(run, "baseline", 0, "000", (48, 64))
    assert scores.shape == (0, 48, 64) and len(classes) == 0


# --- superpixels of others -----------------------------------------------------------------------------------------


def test_foreign_superpixels_are_trained_with(tmp_path):
    root, theirs = make_photographs(tmp_path / "mine"), tmp_path / "theirs"
    theirs.mkdir()
    changes = FOLDER | {"superpixels.folder": str(theirs)}
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=changes)
    prepare_data(run)
    ids = run.dataset().ids("train")
    text = refusal(make_superpixels, run)
    assert f"{len(ids)} of {len(ids)}" in text and f"{ids[0]}.png is missing" in text
    for image_id in ids:
        height, width = run.dataset().image(image_id).shape[:2]
        numbers = np.arange(height * width).reshape(height, width) // 8  # more than 256
        channels = np.stack([numbers % 256, numbers // 256, 0 * numbers], axis=-1).astype(np.uint8)
        Image.fromarray(channels).save(theirs / f"{image_id}.png")
    assert values(make_superpixels(run))["mean_regions"] > 256
    train_cam(run, "ssc")
    settings = json.loads((run.cam_folder("ssc") / "settings.json").read_text())["settings"]
    assert settings["superpixels"] == str(theirs)
    own = replace(run, config=load_config("folder", FOLDER))
    assert "superpixels.folder" in refusal(make_superpixels, own)
