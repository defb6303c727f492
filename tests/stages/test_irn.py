"""Chapter 5's stages on a dozen scenes: relation labels, relation network, pseudo-masks, and what they refuse."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb import parallel
from sscnb.datasets.images import read_mask
from sscnb.errors import UserError
from sscnb.evaluation.masks import ConfusionMatrix
from sscnb.networks.tensors import to_tensor
from sscnb.refinement.irn import edge_map
from sscnb.refinement.irn_loss import labels_on_grid, relation_loss
from sscnb.refinement.pseudo_masks import confidence_mask, ir_label, pseudo_mask
from sscnb.settings.config import override
from sscnb.stages import irn as stage_irn
from sscnb.stages import pseudo as stage_pseudo
from sscnb.stages.cam import infer_cams, train_cam
from sscnb.stages.data import prepare_data
from sscnb.stages.irn import RelationObjective, irn_stage, load_irn, make_ir_labels, train_irn
from sscnb.stages.pseudo import evaluate_pseudo_masks, load_confidence, load_walk, make_pseudo_masks, walk
from sscnb.stages.run import open_run
from sscnb.stages.seeds import evaluate_seeds, load_cams, load_grid_cams

SMALL = {
    "data.scenes.size": 64,
    "data.scenes.train": 12,
    "data.scenes.val": 4,
    "cam.crop": 64,
    "cam.resize": [56, 80],
    "cam.batch_size": 4,
    "cam.epochs": 1,
    "irn.crf": "none",
    "irn.crop": 64,
    "irn.long_side": 0,
    "irn.scale": [0.75, 1.25],
    "irn.radius": 4,
    "irn.epochs": 1,
    "irn.batch_size": 4,
}
STAGES = (make_ir_labels, train_irn, make_pseudo_masks, evaluate_pseudo_masks)


def values(result) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in result["rows"]}


def small(folder, **overrides):
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    return open_run("tiny", run_dir=str(folder), overrides=SMALL | changes)


@pytest.fixture(scope="module")
def seeds_only(tmp_path_factory):
    """A run up to the seeds of the baseline; not to be changed."""
    run = small(tmp_path_factory.mktemp("seeds") / "run")
    for stage in (prepare_data, train_cam, infer_cams, evaluate_seeds):
        stage(run)
    return run


@pytest.fixture(scope="module")
def finished(seeds_only, tmp_path_factory):
    """A run up to the evaluated pseudo-masks; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(seeds_only.folder, folder)
    run = small(folder)
    for stage in STAGES:
        stage(run)
    return run


@pytest.fixture
def run(finished, tmp_path):
    """The same, to be changed."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return small(tmp_path / "run")


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def pictures(run, part) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (run.irn_folder("baseline") / part).glob("*.png")}


# --- what they write -----------------------------------------------------------------------------------------------


def test_relation_labels_are_those_of_the_cams(finished):
    dataset, folder = finished.dataset(), finished.irn_folder("baseline")
    assert folder == finished.folder / "irn/baseline/seed0/none"
    assert {p.stem for p in folder.glob("ir_labels/*.png")} == set(dataset.ids("train"))
    shares = []
    for image_id in dataset.ids("train"):
        activation, classes = load_cams(finished, "baseline", 0, image_id, (64, 64))
        found = read_mask(folder / f"ir_labels/{image_id}.png")
        assert np.array_equal(found, ir_label(activation, classes, dataset.image(image_id), crf="none"))
        shares.append([((found > 0) & (found < 255)).mean(), (found == 0).mean(), (found == 255).mean()])
    measured = values(make_ir_labels(finished))
    expected = dict(zip(("ir/foreground", "ir/background", "ir/uncertain"), np.mean(shares, 0), strict=True))
    assert measured == pytest.approx(expected) and min(measured.values()) > 0


def test_training_is_told(finished):
    result = train_irn(finished)
    (epoch,) = result["history"]
    terms = {"positive", "negative", "displacement_foreground", "displacement_background", "loss"}
    assert set(epoch) == terms | {"epoch", "seconds"} and all(np.isfinite(v) for v in epoch.values())
    saved = torch.load(finished.irn_folder("baseline") / "checkpoint.pt", weights_only=True)["model"]
    assert {name.split(".")[1] for name in saved} == {"edge", "displacement"}  # the backbone is frozen, so not saved
    assert saved["net.displacement.mean"].tolist() == result["mean_displacement"] != [0, 0]
    net = load_irn(finished, "baseline", 0)
    assert not net.training and torch.equal(net.edge.output.weight, saved["net.edge.output.weight"])


def test_masks_follow_from_walks(finished):
    dataset, folder = finished.dataset(), finished.irn_folder("baseline")
    net, total = load_irn(finished, "baseline", 0), ConfusionMatrix(len(dataset.classes) + 1)
    right = []
    for image_id in dataset.ids("train"):
        scores, classes = load_walk(finished, "baseline", 0, image_id, (64, 64))
        mask = read_mask(folder / f"pseudo_masks/{image_id}.png")
        assert np.array_equal(mask, pseudo_mask(scores, classes, threshold=0.25))
        assert set(np.unique(mask)) <= {0, *classes}
        assert scores.max() == pytest.approx(1) or not scores.any()  # CAMs of a barely trained network may be 0
        sure = load_confidence(finished, "baseline", 0, image_id)
        assert np.array_equal(sure, confidence_mask(scores, mask, threshold=0.25, keep=0.5))
        target = dataset.mask(image_id)
        total.update(mask, target)
        right.append(((mask == target) & sure).sum() / (sure & (target != 255)).sum())
    image_id = next(i for i in dataset.ids("train") if load_walk(finished, "baseline", 0, i, (64, 64))[0].any())
    edge, walked = walk(finished, net, "baseline", 0, image_id)
    assert edge.shape == (16, 16) and walked.shape[1:] == (16, 16)
    with np.load(folder / f"walks/{image_id}.npz") as stored:
        assert stored["maps"].dtype == np.float16 and stored["maps"].shape == walked.shape
        assert np.abs(stored["maps"] - (walked / walked.max()).numpy()).max() < 1e-3
    result = evaluate_pseudo_masks(finished)
    assert result["counts"] == total.counts.tolist() and set(result["images"]) == set(dataset.ids("train"))
    found = values(result)
    assert found["pseudo/mIoU"] == pytest.approx(total.miou())
    assert found["pseudo/accuracy"] == pytest.approx(total.accuracy())
    assert min(right) <= found["pseudo/trusted_accuracy"] <= max(right)
    assert found["pseudo/best_mIoU"] == pytest.approx(max(result["curve"]["mIoU"]))
    assert found["pseudo/best_mIoU"] >= found["pseudo/mIoU"] - 1e-9
    assert found["pseudo/seed_mIoU"] == values(evaluate_seeds(finished))["seed/mIoU"]
    assert 0 < found["pseudo/boundary_IoU"] < found["pseudo/mIoU"]


def test_files_are_those_that_others_read(finished):
    folder, image_id = finished.irn_folder("baseline"), finished.dataset().ids("train")[0]
    with Image.open(folder / f"pseudo_masks/{image_id}.png") as mask:
        assert mask.mode == "P" and mask.getpalette()[3:6] == [128, 0, 0]
    assert set(np.unique(read_mask(folder / f"confidence/{image_id}.png"))) == {0, 255}


def test_the_walk_stays_where_it_is_without_steps(finished):
    net, image_id = load_irn(finished, "baseline", 0), finished.dataset().ids("train")[0]
    edge, still = walk(finished, net, "baseline", 0, image_id, steps=0)
    cams = torch.from_numpy(load_grid_cams(finished, "baseline", 0, image_id, (16, 16))[0])
    assert torch.equal(still, cams * (1 - edge))


def test_edges_are_those_of_the_image_on_the_canvas_that_the_settings_name(finished):
    net, image_id = load_irn(finished, "baseline", 0), finished.dataset().ids("train")[0]
    image = to_tensor(finished.dataset().image(image_id))
    # Only to look at: the network is the one that was trained without.
    wide = replace(finished, config=override(finished.config, {"irn.pad": 160}))
    for run, pad in ((finished, 0), (wide, 160)):
        assert torch.equal(walk(run, net, "baseline", 0, image_id)[0], edge_map(net, image, pad=pad))


def test_the_mean_displacement_is_that_of_the_same_canvas(run):
    (run.irn_folder("baseline") / "settings.json").unlink()
    for name in ("checkpoint.pt", "results.json"):
        (run.irn_folder("baseline") / name).unlink()
    wide, dataset = small(run.folder, irn__pad=96), run.dataset()
    told = train_irn(wide)["mean_displacement"]
    canvas = torch.zeros(12, 3, 96, 96)
    for place, image_id in zip(canvas, dataset.ids("train"), strict=True):
        place[:, :64, :64] = to_tensor(dataset.image(image_id))
    net = load_irn(wide, "baseline", 0).train()  # in training nothing is subtracted
    net.backbone.eval()
    with torch.no_grad():
        assert told == pytest.approx(net(canvas)[1].mean((0, 2, 3)).tolist(), rel=1e-4)


def test_products_are_rounded_only_where_the_settings_say_so(finished, run, monkeypatch):
    events = []

    @contextmanager
    def noted(precision, on):
        events.append((precision, on.type))
        yield
        events.append("as before")

    for module in (stage_irn, stage_pseudo):
        monkeypatch.setattr(module, "products_in", noted)
    net = load_irn(finished, "baseline", 0)
    net.edge.register_forward_hook(lambda *_: events.append("edges"))
    rounded = replace(finished, config=override(finished.config, {"irn.precision": "tf32"}))
    walk(rounded, net, "baseline", 0, finished.dataset().ids("train")[0])
    assert events == [("tf32", "cpu"), "edges", "edges", "as before"]
    events.clear()
    mean = stage_irn.set_mean_displacement
    monkeypatch.setattr(stage_irn, "set_mean_displacement", lambda *a: (events.append("mean"), mean(*a))[1])
    (run.irn_folder("baseline") / "results.json").unlink()
    train_irn(run)  # all of its epochs are there: what is left is the mean displacement
    assert events == [("no", "cpu"), "mean", "as before"]


def test_the_objective_takes_the_pairs_that_the_settings_name(finished):
    net, settings = load_irn(finished, "baseline", 0), finished.config.irn
    batch = {"image": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))}
    batch["target"] = (torch.arange(64) // 20 % 2).expand(2, 64, 64)
    edge, displacement = net(batch["image"])
    for pairs, room in (("inside", 0), ("released", 3)):
        expected = relation_loss(edge, displacement, labels_on_grid(batch["target"]), radius=4, room=room)
        assert RelationObjective(net, replace(settings, pairs=pairs))(batch, 0)["loss"] == expected["loss"]


def test_rows_name_variant_seed_split_crf_and_threshold(finished):
    rows = [row for row in finished.rows() if row["stage"] in ("ir_labels", "irn", "pseudo", "pseudo_eval")]
    assert {row["stage"] for row in rows} == {"ir_labels", "irn", "pseudo", "pseudo_eval"}
    assert {(row["variant"], row["seed"], row["crf"]) for row in rows} == {("baseline", 0, "none")}
    assert {(r["split"], r["threshold"]) for r in rows if r["stage"] == "pseudo_eval"} == {("train", 0.25)}


def test_both_choices_of_crf_live_in_one_run(run):
    pytest.importorskip("pydensecrf.densecrf")
    before = snapshot(run.irn_folder("baseline"))
    for stage in STAGES:
        stage(run, crf="dense")
    assert snapshot(run.irn_folder("baseline")) == before
    rows = [row for row in run.rows() if row["metric"] == "pseudo/mIoU"]
    assert {row["crf"] for row in rows} == {"dense", "none"} and len({row["config"] for row in rows}) == 2
    refined, plain = (make_ir_labels(run, crf=crf)["rows"] for crf in ("dense", "none"))
    assert refined[0]["value"] != plain[0]["value"]


# --- what changes nothing, and what does ---------------------------------------------------------------------------


def test_finished_stages_touch_nothing(run):
    before = snapshot(run.folder)
    for stage in STAGES:
        assert stage(run)["rows"]
    assert snapshot(run.folder) == before


def test_masks_are_the_same_without_the_displacement_head(finished, run):
    for part in ("checkpoint.pt", "results.json", "settings.json", "pseudo_masks", "confidence", "walks"):
        path = run.irn_folder("baseline") / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    bare = small(run.folder, irn__displacement=False)
    result = train_irn(bare)
    assert "mean_displacement" not in result and "displacement_foreground" not in result["history"][0]
    make_pseudo_masks(bare)
    for part in ("pseudo_masks", "confidence"):
        assert pictures(bare, part) == pictures(finished, part)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(finished, run):
    shutil.rmtree(run.irn_folder("baseline"))
    make_ir_labels(run)
    assert values(train_irn(run))["train_loss"] == values(train_irn(finished))["train_loss"]
    make_pseudo_masks(run)
    assert pictures(run, "pseudo_masks") == pictures(finished, "pseudo_masks")
    shutil.copytree(run.cam_folder("baseline", 0), run.cam_folder("baseline", 1))  # the seed of the network alone
    make_ir_labels(run, seed=1)
    assert values(train_irn(run, seed=1))["train_loss"] != values(train_irn(finished))["train_loss"]


def test_the_network_depends_on_its_own_settings_alone(finished):
    def digest(**overrides):
        return irn_stage(small(finished.folder, **overrides), "baseline", 0).hash

    assert digest() == digest(irn__workers=3, pseudo__workers=3, pseudo__threshold=0.4, irn__foreground=0.4)
    assert digest() != digest(irn__radius=5) and digest() != digest(irn__displacement=False)
    assert len({digest(), digest(irn__pad=96), digest(irn__pairs="released"), digest(irn__momentum=1e-4)}) == 4
    assert "ir_labels" in refusal(make_ir_labels, small(finished.folder, irn__foreground=0.4))
    assert "threshold 0.25 there, 0.4 here" in refusal(make_pseudo_masks, small(finished.folder, pseudo__threshold=0.4))


@pytest.mark.slow
def test_the_number_of_processes_changes_no_file(finished, run, monkeypatch, capsys):
    monkeypatch.setattr(parallel, "_IMAGES_A_WORKER", 1)
    two = small(run.folder, pseudo__workers=2)
    folder = run.irn_folder("baseline")
    for part in ("ir_labels", "pseudo_masks", "confidence", "walks"):
        for path in (folder / part).glob("*.*"):
            path.unlink()
    make_ir_labels(two)
    make_pseudo_masks(two)
    assert "12/12" in capsys.readouterr().err
    for part in ("ir_labels", "pseudo_masks", "confidence"):
        assert pictures(run, part) == pictures(finished, part)
    for image_id in run.dataset().ids("train"):
        maps = [np.load(r.irn_folder("baseline") / f"walks/{image_id}.npz")["maps"] for r in (run, finished)]
        assert np.array_equal(*maps)


# --- interruptions -------------------------------------------------------------------------------------------------


def test_what_was_written_before_an_interruption_is_left_alone(finished, run):
    ids, folder = run.dataset().ids("train"), run.irn_folder("baseline")
    for part, suffix in (("ir_labels", "png"), ("pseudo_masks", "png"), ("confidence", "png"), ("walks", "npz")):
        (folder / part / f"{ids[4]}.{suffix}").unlink()
    (folder / f"walks/{ids[7]}.npz").unlink()  # one of three is enough
    for part in ("ir_labels", "pseudo_masks"):
        (folder / part / "results.json").unlink()
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png") if p.stem not in (ids[4], ids[7])}
    make_ir_labels(run)
    make_pseudo_masks(run)
    assert {p: p.stat().st_mtime_ns for p in times} == times
    for part in ("ir_labels", "pseudo_masks", "confidence"):
        assert pictures(run, part) == pictures(finished, part)


def test_an_interruption_before_the_mean_displacement(finished, run, monkeypatch):
    folder = run.irn_folder("baseline")
    for name in ("results.json", "checkpoint.pt"):
        (folder / name).unlink()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage_irn, "set_mean_displacement", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_irn(run)
    assert (folder / "checkpoint.pt").is_file() and not (folder / "results.json").exists()
    assert train_irn(run)["mean_displacement"] == train_irn(finished)["mean_displacement"]
    found, expected = (
        torch.load(r.irn_folder("baseline") / "checkpoint.pt", weights_only=True)["model"] for r in (run, finished)
    )
    assert all(torch.equal(found[name], value) for name, value in expected.items())


# --- what they refuse ----------------------------------------------------------------------------------------------


def test_stages_say_what_comes_first(tmp_path):
    run = small(tmp_path / "run")
    assert "02_cam_network_training" in refusal(make_ir_labels, run)
    assert "05_irn_refinement" in refusal(train_irn, run)
    assert "05_irn_refinement" in refusal(make_pseudo_masks, run)
    assert "02_cam_network_training" in refusal(evaluate_pseudo_masks, run)
    assert not (run.folder / "irn").exists()


def test_a_missing_crf_is_told_before_anything_is_written(finished, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)  # as where it is not installed
    before = snapshot(run.folder)
    text = refusal(make_ir_labels, run, crf="dense")
    assert "pip install '.[crf]'" in text and 'crf="none"' in text
    assert "crf is 'dens'; did you mean 'dense'" in refusal(make_ir_labels, run, crf="dens")
    assert snapshot(run.folder) == before
    assert make_ir_labels(run)["rows"][0]["crf"] == "none"


def test_unknown_variant(run):
    before = snapshot(run.folder)
    for stage in STAGES:
        assert "there is no variant 'basline'" in refusal(stage, run, "basline")
    assert snapshot(run.folder) == before


@pytest.mark.parametrize("damaged", ["ir_labels", "checkpoint.pt", "walks", "pseudo_masks"])
def test_damaged_files_are_named(run, damaged):
    folder, image_id = run.irn_folder("baseline"), run.dataset().ids("train")[2]
    path = folder / damaged
    if path.is_dir():
        path = next(path.glob(f"{image_id}.*"))
    path.write_bytes(path.read_bytes()[:50])
    stage, results = {
        "ir_labels": (train_irn, "results.json"),
        "checkpoint.pt": (make_pseudo_masks, "pseudo_masks/results.json"),
    }.get(damaged, (evaluate_pseudo_masks, "evaluation/results.json"))
    (folder / results).unlink()
    if stage is train_irn:
        (folder / "checkpoint.pt").unlink()
    text = refusal(stage, run)  # a stage whose file is not whole is not done, and says so itself
    assert str(path) in text or "has no trained relation network" in text
    assert not (folder / results).exists()


# --- a folder of one's own -----------------------------------------------------------------------------------------


def test_photographs_of_any_size(tmp_path):
    root = make_photographs(tmp_path / "mine")
    (root / "labels.csv").write_text((root / "labels.csv").read_text().replace("000,disc", "000,"))
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "SegmentationClass/000.png")
    overrides = {key: value for key, value in SMALL.items() if not key.startswith("data.")}
    overrides |= {"cam.batch_size": 2, "irn.batch_size": 2, "irn.long_side": 90, "inference.long_side": 64}
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(root), overrides=overrides)
    for stage in (prepare_data, train_cam, infer_cams, *STAGES):
        stage(run)
    folder, dataset = run.irn_folder("baseline"), run.dataset()
    for image_id in dataset.ids("train"):
        size = dataset.image(image_id).shape[:2]
        scores, classes = load_walk(run, "baseline", 0, image_id, size)
        assert scores.shape == (len(classes), *size)
        assert read_mask(folder / f"pseudo_masks/{image_id}.png").shape == size
        with np.load(folder / f"walks/{image_id}.npz") as stored:
            assert stored["size"].tolist() == [round(size[0] * 90 / 64), 90]
    assert not read_mask(folder / "pseudo_masks/000.png").any()  # an image without any class is background
    assert load_confidence(run, "baseline", 0, "000").shape == dataset.image("000").shape[:2]


@pytest.mark.slow
def test_a_large_photograph_takes_less_than_two_gigabytes(run):
    image_id, folder = run.dataset().ids("train")[0], run.irn_folder("baseline")
    path = run.dataset_folder / f"JPEGImages/{image_id}.jpg"
    with Image.open(path) as image:
        large = image.resize((2000, 1500))
    large.save(path)
    cams = run.cam_folder("baseline") / f"cams/{image_id}.npz"
    maps = np.random.default_rng(0).random((2, 94 * 125), np.float32)
    where = {"grids": np.array([[94, 125]]), "size": np.array([1500, 2000]), "stride": np.array(16)}
    np.savez(cams, classes=np.array([1, 4], np.int16), maps=maps, **where)
    Image.new("L", large.size).save(run.dataset().mask_path(image_id))
    shutil.rmtree(run.folder / "data")
    prepare_data(run)
    for path in (*folder.glob("*/results.json"), *folder.glob(f"*/{image_id}.*")):
        path.unlink()
    code = (
        "import json, resource, sys; from pathlib import Path; from sscnb.stages.run import open_run\n"
        "from sscnb.stages.irn import make_ir_labels; from sscnb.stages.pseudo import make_pseudo_masks\n"
        f"run = open_run('tiny', run_dir={str(run.folder)!r}, overrides=json.loads(sys.argv[1]))\n"
        "make_ir_labels(run); make_pseudo_masks(run)\n"
        # Linux hands a parent's own peak down in ru_maxrss, and this parent has run other tests.
        "status = Path('/proc/self/status')\n"
        "lines = status.read_text().splitlines() if status.exists() else []\n"
        "peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith('VmHWM')]\n"
        "print(peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, json.dumps(SMALL)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_mask(folder / f"pseudo_masks/{image_id}.png").shape == (1500, 2000)
    assert float(done.stdout) < 2e9


def test_workers_follow_torch(finished, monkeypatch):
    monkeypatch.setattr(stage_irn.torch, "get_num_threads", lambda: 3)
    assert [stage_pseudo.worker_count(finished, jobs) for jobs in (0, 20, 40, 500)] == [1, 1, 2, 3]
    assert stage_pseudo.worker_count(small(finished.folder, pseudo__workers=5), 500) == 5
