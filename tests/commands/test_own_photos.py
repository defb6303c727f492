"""Photographs of one's own: images and a labels.csv, without lists, classes or masks."""

import numpy as np
import pytest
from conftest import make_photographs, snapshot
from PIL import Image

from sscnb.commands.cli import main
from sscnb.datasets import VOC_CLASSES, open_dataset
from sscnb.errors import UserError
from sscnb.evidence import figures

IMAGES = {"beach_01.jpg": "boat", "beach_02.JPG": "boat;gull", "harbour.png": "", "pier.jpeg": "crane"}


@pytest.fixture
def mine(tmp_path):
    """A folder as someone would make it: images of several kinds, one of them without a label, and a table."""
    root = tmp_path / "mine"
    root.mkdir()
    for n, name in enumerate([*IMAGES, "unlabelled.jpg"]):
        Image.new("RGB", (40 + n, 30), (50 * n, 90, 90)).save(root / name)
    rows = [f"{name.partition('.')[0]},{classes}" for name, classes in IMAGES.items()]
    (root / "labels.csv").write_text("\n".join(["id,classes", *rows]) + "\n")
    return root


def refusal(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def test_images_and_labels_are_enough(mine):
    dataset = open_dataset(mine)
    assert dataset.splits == ["train"]
    assert dataset.ids("train") == ["beach_01", "beach_02", "harbour", "pier"]  # the labelled ones, as they stand
    assert dataset.classes == ("boat", "crane", "gull")  # alphabetical, whatever the order of the rows
    assert dataset.labels("beach_02").tolist() == [1, 0, 1] and dataset.labels("harbour").tolist() == [0, 0, 0]
    assert [dataset.image_path(i).name for i in dataset.ids("train")] == list(IMAGES)
    assert dataset.image("pier").shape == (30, 43, 3) and not dataset.has_masks("train")


def test_images_may_lie_in_their_own_folder(mine):
    before = open_dataset(mine)
    (mine / "JPEGImages").mkdir()
    for path in [p for p in mine.iterdir() if p.is_file() and p.suffix != ".csv"]:
        path.rename(mine / "JPEGImages" / path.name)
    after = open_dataset(mine)
    assert after.ids("train") == before.ids("train") and after.classes == before.classes
    assert after.image_path("pier").parent.name == "JPEGImages"


def test_classes_txt_goes_before_the_names_in_the_table(mine):
    (mine / "classes.txt").write_text("gull\nboat\ncrane\nbuoy\n")
    dataset = open_dataset(mine)
    assert dataset.classes == ("gull", "boat", "crane", "buoy") and dataset.labels("beach_01").tolist() == [0, 1, 0, 0]
    (mine / "classes.txt").write_text("gull\ncrane\n")
    assert "'boat'" in refusal(open_dataset(mine).labels, "beach_01")


def test_lists_go_before_the_table(mine):
    (mine / "ImageSets/Segmentation").mkdir(parents=True)
    (mine / "ImageSets/Segmentation/val.txt").write_text("pier\n")
    (mine / "classes.txt").write_text("boat\ncrane\ngull\n")
    dataset = open_dataset(mine)
    assert dataset.splits == ["val"] and dataset.ids("val") == ["pier"]
    assert "no split 'train'" in refusal(dataset.ids, "train")


def test_masks_mean_what_classes_txt_says_or_else_vocs_numbers(mine):
    # The alphabet of a table must not decide what a mask's number is.
    (mine / "SegmentationClass").mkdir()
    assert open_dataset(mine).classes == VOC_CLASSES


def test_what_is_missing_is_named(mine, tmp_path):
    dataset = open_dataset(mine)
    (mine / "pier.jpeg").unlink()
    text = refusal(dataset.image, "pier")
    assert "'pier'" in text and str(mine) in text and "labels.csv" in text
    with (mine / "labels.csv").open("a") as file:
        file.write("quay.jpg,boat\n")
    assert "without its suffix" in refusal(open_dataset(mine).image, "quay.jpg")
    assert "no split 'val'" in refusal(dataset.ids, "val")
    (mine / "labels.csv").unlink()
    assert "labels.csv" in refusal(open_dataset, mine)
    (tmp_path / "empty").mkdir()
    assert "JPEGImages/ is missing" in refusal(open_dataset, tmp_path / "empty")
    assert str(tmp_path / "none") in refusal(open_dataset, tmp_path / "none")


@pytest.mark.parametrize("rows", ["", "beach_01,\nharbour,\n"])
def test_a_table_without_any_class(mine, rows):
    (mine / "labels.csv").write_text("id,classes\n" + rows)
    assert "labels.csv must name 1 to 254" in refusal(open_dataset, mine)


def test_a_table_without_any_image(mine):
    (mine / "labels.csv").write_text("id,classes\n")
    (mine / "classes.txt").write_text("boat\n")
    assert "labels.csv is empty" in refusal(open_dataset(mine).ids, "train")


def test_where_there_is_no_truth_the_panel_is_grey(photographs):
    dataset = open_dataset(photographs)
    seen = figures.truth(dataset, "000")
    assert (seen == figures.overlay_mask(dataset.image("000"), dataset.mask("000"))).all() and seen.std() > 0
    (photographs / "SegmentationClass/000.png").unlink()
    blank = figures.truth(dataset, "000")
    assert blank.shape == dataset.image("000").shape and len(np.unique(blank)) == 1


@pytest.mark.slow
def test_from_photographs_to_predictions(tmp_path, capsys):
    source = make_photographs(tmp_path / "source", masks=False)
    root = tmp_path / "mine"
    (source / "JPEGImages").rename(root)
    (source / "labels.csv").rename(root / "labels.csv")
    before = snapshot(root)
    overrides = (
        '{"cam.crop": 64, "cam.resize": [56, 80], "cam.epochs": 1, "cam.batch_size": 4, "inference.scales": [1.0],'
        ' "inference.long_side": 64, "irn.crop": 64, "irn.epochs": 1, "irn.batch_size": 4, "irn.crf": "none",'
        ' "pseudo.workers": 1, "superpixels.workers": 1, "segmentation.crop": 64, "segmentation.epochs": 1,'
        ' "segmentation.batch_size": 4}'
    )
    options = ["--preset", "folder", "--data-root", str(root), "--run-dir", str(tmp_path / "run")]
    options += ["--overrides", overrides]
    stages = "data superpixels cam cams seeds ir_labels irn pseudo pseudo_eval segmentation predictions".split()
    assert main(["run", *stages, "segmentation_eval", *options]) == 0
    said = capsys.readouterr().out
    for name in ("seeds", "pseudo_eval", "segmentation_eval"):
        assert f"{name}: no masks for split 'train'" in said
    found = {path.stem: path for path in (tmp_path / "run/segmentation").rglob("predictions/*.png")}
    assert sorted(found) == [f"{n:03d}" for n in range(6)]
    for image_id, path in found.items():
        with Image.open(path) as picture, Image.open(root / f"{image_id}.jpg") as photograph:
            assert picture.mode == "P" and picture.size == photograph.size
    assert snapshot(root) == before
