"""One's own photographs: masks of their size, a broken file named and the others done, the right network chosen."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sscnb.commands import predict
from sscnb.commands.cli import main
from sscnb.commands.predict import describe, find_network, output_names, predict_files
from sscnb.datasets import images
from sscnb.datasets.images import read_image
from sscnb.errors import UserError
from sscnb.files import write_json
from sscnb.segmentation.inference import predict_mask
from sscnb.settings import SegmentationSettings
from sscnb.settings.config import settings_dict
from sscnb.stages.segmentation import build_net, load_network, settings_from

SETTINGS = SegmentationSettings(
    method="single",
    backbone="efficientnet_lite0",
    weights="random",
    rates=(1, 2),
    test_size=0,
    test_scales=(1.0,),
    crf="none",
)


def write_network(run_dir, source="ssc", seed=0, backbone="efficientnet_lite0"):
    folder = run_dir / f"segmentation/{backbone}/{source}/seed{seed}"
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    state = {f"net.{name}": value for name, value in build_net(SETTINGS, 4).state_dict().items()}
    torch.save({"config": "abc", "model": state, "optimizers": [], "history": []}, folder / "checkpoint.pt")
    write_json(folder / "settings.json", {"hash": "abc", "settings": {}})
    results = {"rows": [], "classes": ["boat", "cat", "dog"], "segmentation": settings_dict(SETTINGS)}
    write_json(folder / "results.json", results)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("predict")
    write_network(root / "run")
    return root / "run"


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (
        ("a.jpg", (30, 41, 3)),
        ("b.png", (25, 20, 3)),
        ("b.jpg", (40, 24, 3)),
        ("deeper/c.png", (9, 9, 3)),
    ):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def test_a_folder(made, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", "--run-dir", str(made), "--input", str(pictures), "--output", str(out)]) == 0
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["a.png", "b.jpg.png", "b.png.png"]
    assert sorted(p.name for p in (out / "overlays").iterdir()) == ["a.jpg", "b.jpg.jpg", "b.png.jpg"]
    net, settings, classes = load_network(find_network(made)[0])
    for name, mask_name in (("a.jpg", "a.png"), ("b.png", "b.png.png")):
        image = read_image(pictures / name)
        with Image.open(out / "masks" / mask_name) as mask:
            assert mask.mode == "P" and mask.size == (image.shape[1], image.shape[0])
            assert np.array_equal(mask, predict_mask(net, image, settings))
    assert "3 masks" in capsys.readouterr().out and classes == ["boat", "cat", "dog"] and not net.training


def test_a_broken_file_is_named_and_the_others_are_done(made, pictures, tmp_path, capsys):
    (pictures / "a.jpg").write_bytes((pictures / "a.jpg").read_bytes()[:200])
    out = tmp_path / "out"
    assert main(["predict", "--run-dir", str(made), "--input", str(pictures), "--output", str(out)]) == 2
    found = capsys.readouterr()
    assert str(pictures / "a.jpg") in found.err and found.err.count("error: ") == 1 and "2 masks" in found.out
    assert len(list((out / "masks").iterdir())) == 2


def test_one_image_and_its_limit(made, pictures, tmp_path):
    (mask,), errors = predict_files(made, pictures / "a.jpg", tmp_path / "out", limit=20)
    assert errors == [] and Image.open(mask).size == (41, 30)
    net, settings, _ = load_network(find_network(made)[0])
    assert np.array_equal(Image.open(mask), predict_mask(net, read_image(pictures / "a.jpg"), settings, limit=20))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["good.JPG", "good.jpg"], ["good.JPG-2", "good.jpg"]),
        (["Beach.jpg", "beach.png"], ["Beach.jpg", "beach.png"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg", "a.jpg.png", "a.png"]),
        (["a.b.jpg", "a.jpg"], ["a.b", "a"]),
    ],
)
def test_no_two_outputs_have_one_name(files, expected):
    """Not even where the disk does not tell upper from lower case."""
    names = output_names([Path(name) for name in files])
    assert [names[Path(name)] for name in files] == expected


@pytest.mark.parametrize("bad", ["truncated", "too large to decode", "16 bits"])
def test_what_lies_beside_a_good_image_costs_it_nothing(made, tmp_path, bad, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    good = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8))
    for name in ("aaa.png", "good.JPG", "good.jpg", "zzz.png"):
        good.save(folder / name)
    expected, none = predict_files(made, folder, tmp_path / "before")
    assert none == [] and len(expected) == 4
    path = folder / "good.JPG"
    whole = path.read_bytes()
    path.unlink()
    if bad == "truncated":
        path.write_bytes(whole[:300])
    elif bad == "16 bits":
        Image.fromarray(np.zeros((9, 9), np.uint16)).save(path, "PNG")
    else:
        header = bytearray(whole)
        place = header.index(b"\xff\xc0") + 5
        header[place : place + 4] = b"\xff\xf0\xff\xf0"  # 65520 x 65520
        path.write_bytes(header)
    assert main(["predict", "--run-dir", str(made), "--input", str(folder), "--output", str(out)]) == 2
    assert str(path) in capsys.readouterr().err
    for part, name in ("masks", "aaa.png"), ("masks", "good.jpg.png"), ("masks", "zzz.png"), ("overlays", "zzz.jpg"):
        assert (out / part / name).read_bytes() == (tmp_path / "before" / part / name).read_bytes()
    assert len(list((out / "masks").iterdir())) == len(list((out / "overlays").iterdir())) == 3


def test_a_photograph_too_large_to_be_read_whole(made, tmp_path, monkeypatch):
    blocks = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((40, 60), np.uint8))
    Image.fromarray(blocks).convert("RGB").save(tmp_path / "a.jpg")
    monkeypatch.setattr(images, "MAX_PIXELS", 80 * 120 // 4)
    (mask,), errors = predict_files(made, tmp_path / "a.jpg", tmp_path / "out")
    assert errors == []
    with Image.open(mask) as found, Image.open(tmp_path / "out/overlays/a.jpg") as overlay:
        assert found.size == (120, 80) and found.mode == "P" and overlay.size == (60, 40)
        small = predict_mask(
            *load_network(find_network(made)[0])[:1], images.read_reduced(tmp_path / "a.jpg")[0], SETTINGS
        )
        assert (np.array(found) == np.kron(small, np.ones((2, 2), np.uint8))).all()
    written, errors = predict_files(made, tmp_path / "a.jpg", tmp_path / "other", limit=0)
    assert written == [] and "120x80 pixels" in str(errors[0])


def test_memory_that_is_not_to_be_had_for_one_image(made, pictures, tmp_path, monkeypatch):
    segment = predict.predict_mask

    def scarce(net, image, *arguments, **named):
        if image.shape[0] == 30:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")
        return segment(net, image, *arguments, **named)

    monkeypatch.setattr(predict, "predict_mask", scarce)
    written, errors = predict_files(made, pictures, tmp_path / "out")
    assert len(written) == 2 and len(errors) == 1
    assert str(pictures / "a.jpg") in str(errors[0]) and "--limit" in str(errors[0])


def test_an_overlay_in_strips_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (37, 5, 3), dtype=np.uint8), rng.integers(0, 3, (37, 5), dtype=np.uint8)
    monkeypatch.setattr(predict, "_STRIP", 8)
    assert (predict._overlaid(image, mask) == predict.overlay_mask(image, mask)).all()


def test_nothing_to_do(made, pictures, tmp_path):
    assert "no image or folder" in refusal(predict_files, made, tmp_path / "absent", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "has no images" in refusal(predict_files, made, tmp_path / "empty", tmp_path / "out")
    assert "no trained segmentation network" in refusal(predict_files, tmp_path, pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def write_measure(folder, value):
    rows = [{"metric": "segmentation/mIoU", "value": value, "split": "val"}] if value is not None else []
    write_json(folder / "evaluation/results.json", {"rows": rows})


def test_which_network_where_none_was_measured(tmp_path):
    for source, seed in (("baseline", 0), ("truth", 0)):
        write_measure(write_network(tmp_path, source, seed), None)
    folder, why = find_network(tmp_path)
    assert folder.parts[-2:] == ("baseline", "seed0") and "only one" in why  # true masks only where asked for
    assert find_network(tmp_path, "truth")[0].parts[-2:] == ("truth", "seed0")
    write_network(tmp_path, "drs", 0)
    assert "--source" in refusal(find_network, tmp_path) and "baseline, drs" in refusal(find_network, tmp_path)
    write_network(tmp_path, "ssc", 10)
    write_network(tmp_path, "ssc", 2)
    folder, why = find_network(tmp_path)
    assert folder.parts[-2:] == ("ssc", "seed2") and "lack of masks" in why
    assert find_network(tmp_path, seed=10)[0].parts[-2:] == ("ssc", "seed10")
    assert "did you mean 'truth'" in refusal(find_network, tmp_path, "thruth")
    assert "--seed" in refusal(find_network, tmp_path, seed=7)
    write_network(tmp_path, backbone="vgg16")
    assert "--backbone" in refusal(find_network, tmp_path)
    assert find_network(tmp_path, backbone="vgg16")[0].parts[-3] == "vgg16"


def test_the_network_that_measured_best_is_taken_and_said(made, pictures, tmp_path, capsys):
    shutil.copytree(made, tmp_path / "run")
    for source, seed, value in (("ssc", 0, 0.3), ("baseline", 1, 0.41), ("baseline", 0, 0.4), ("truth", 0, 0.9)):
        folder = tmp_path / f"run/segmentation/efficientnet_lite0/{source}/seed{seed}"
        write_measure(folder if folder.is_dir() else write_network(tmp_path / "run", source, seed), value)
    write_network(tmp_path / "run", "drs")  # not measured
    words = ["--run-dir", str(tmp_path / "run"), "--input", str(pictures / "a.jpg"), "--output", str(tmp_path / "out")]
    assert main(["predict", *words]) == 0
    said = "network: efficientnet_lite0/baseline/seed1: the best of 3 on split val, mIoU 41.0 %"
    assert said in capsys.readouterr().out
    assert main(["predict", *words, "--source", "ssc"]) == 0
    assert "network: efficientnet_lite0/ssc/seed0: the only one" in capsys.readouterr().out


def test_a_damaged_checkpoint(made, pictures, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    path = find_network(tmp_path / "run")[0] / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    assert str(path) in refusal(predict_files, tmp_path / "run", pictures, tmp_path / "out")


def test_settings_come_back():
    assert settings_from(settings_dict(SETTINGS)) == SETTINGS


def test_describe():
    mask = np.array([[0, 2, 2, 1], [0, 0, 0, 0]], np.uint8)
    assert describe(mask, ["boat", "cat"]) == "cat 25.0 %, boat 12.5 %"
    assert describe(mask * 0, ["boat", "cat"]) == "background alone"
