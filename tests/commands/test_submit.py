"""The archive for VOC's server: what is in it, and every prediction that it would not take."""

import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sscnb.commands.cli import main
from sscnb.commands.submit import write_submission
from sscnb.datasets.palette import save_mask
from sscnb.errors import UserError

IDS = ["2008_000006", "2008_000011", "2008_000012"]
PLACE = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def root(tmp_path) -> Path:
    """VOC's folder with a test split, which has images of different sizes and no masks."""
    folder = tmp_path / "voc/VOCdevkit/VOC2012"
    for part in ("JPEGImages", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    (folder / "ImageSets/Segmentation/test.txt").write_text("\n".join(reversed(IDS)) + "\n")
    for n, image_id in enumerate(IDS):
        Image.new("RGB", (20 + n, 15)).save(folder / f"JPEGImages/{image_id}.jpg")
    return tmp_path / "voc"


@pytest.fixture
def predictions(root) -> Path:
    folder = root.parent / "predictions"
    rng = np.random.default_rng(0)
    for n, image_id in enumerate(IDS):
        mask = rng.integers(0, 21, (15, 20 + n))
        mask[0, :2] = 0, 20
        save_mask(folder / f"{image_id}.png", mask)
    return folder


def refusal(predictions: Path, root: Path, **named) -> str:
    output = root.parent / "x.tgz"
    with pytest.raises(UserError) as caught:
        write_submission(predictions, root, output, **named)
    assert not output.exists()
    return str(caught.value)


def test_what_is_in_the_archive(root, predictions, tmp_path):
    assert write_submission(predictions, root, tmp_path / "x.tgz") == 3
    with tarfile.open(tmp_path / "x.tgz", "r:gz") as archive:
        assert archive.getnames() == [f"{PLACE}/{image_id}.png" for image_id in IDS]
        for member in archive.getmembers():
            assert archive.extractfile(member).read() == (predictions / Path(member.name).name).read_bytes()
        archive.extractall(tmp_path / "there", filter="data")
    with Image.open(tmp_path / "there" / PLACE / f"{IDS[1]}.png") as picture:
        assert picture.mode == "P" and picture.size == (21, 15)


def test_the_same_predictions_give_the_same_archive(root, predictions, tmp_path):
    write_submission(predictions, root, tmp_path / "x.tgz")
    time.sleep(1.1)  # archives keep whole seconds
    for path in predictions.iterdir():
        path.touch()
        path.chmod(0o600)
    write_submission(predictions, root / "VOCdevkit/VOC2012", tmp_path / "another name.tgz")
    assert (tmp_path / "x.tgz").read_bytes() == (tmp_path / "another name.tgz").read_bytes()


def test_ids_are_those_of_the_split(root, predictions):
    (predictions / f"{IDS[0]}.png").rename(predictions / "2007_000001.png")
    text = refusal(predictions, root)
    assert f"{predictions / IDS[0]}.png is missing" in text
    assert (
        f"{predictions / '2007_000001.png'} belongs to no image of split 'test'" in text
        and "of 3 predictions, 2 " in text
    )


def test_a_runs_own_predictions(root, predictions, tmp_path):
    """The two files that a run keeps beside them are no predictions; anything else is refused as before."""
    write_submission(predictions, root, tmp_path / "x.tgz")
    for name in ("results.json", "settings.json"):
        (predictions / name).write_text("{}")
    for _ in range(2):  # the second time its own archive lies there
        write_submission(predictions, root, predictions / "y.tgz")
    assert (predictions / "y.tgz").read_bytes() == (tmp_path / "x.tgz").read_bytes()
    (predictions / "notes.json").write_text("{}")
    (tmp_path / "x.tgz").unlink()
    assert f"{predictions / 'notes.json'} belongs to no image" in refusal(predictions, root)


def spoil(path: Path, kind: str) -> None:
    mask = np.zeros((15, 21), np.uint8)
    if kind == "size":
        save_mask(path, mask[:, :20])
    elif kind == "ignored":
        mask[3, 4] = 255
        save_mask(path, mask)
    elif kind == "class":
        mask[3, 4] = 21
        save_mask(path, mask)
    elif kind == "grey":
        Image.fromarray(mask).save(path)
    elif kind == "colours":
        Image.fromarray(np.zeros((15, 21, 3), np.uint8)).save(path)
    elif kind == "palette":
        mask[3, 4] = 1
        picture = Image.fromarray(mask)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.save(path)
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "jpeg":
        Image.fromarray(mask).save(path, "JPEG")
    else:
        path.write_bytes(path.read_bytes()[:80])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("size", "20x15 pixels, its image 21x15"),
        ("ignored", "holds 255"),
        ("class", "holds 21; expected class indices 0 to 20"),
        ("grey", "mode L"),
        ("colours", "mode RGB"),
        ("palette", "another palette"),
        ("jpeg", "is a JPEG"),
        ("cut", "cannot be read"),
        ("pipe", "is no file"),
        ("folder", "is no file"),
    ],
)
def test_a_prediction_that_the_server_would_not_take(root, predictions, kind, said):
    path = predictions / f"{IDS[1]}.png"
    spoil(path, kind)
    text = refusal(predictions, root)
    assert str(path) in text and said in text and "of 3 predictions, 1 " in text and IDS[0] not in text


def test_other_refusals(root, predictions, tmp_path):
    assert "no split 'tset'" in refusal(predictions, root, split="tset")
    assert str(tmp_path / "none") in refusal(tmp_path / "none", root)
    with pytest.raises(UserError, match="must end in .tgz"):
        write_submission(predictions, root, tmp_path / "x.zip")
    (root / f"VOCdevkit/VOC2012/JPEGImages/{IDS[2]}.jpg").unlink()
    assert IDS[2] in refusal(predictions, root)


def test_command(root, predictions, capsys):
    output = root.parent / "x.tgz"
    words = ["submit", "--predictions", str(predictions), "--root", str(root), "--output", str(output)]
    assert main(words) == 0 and f"{output}: 3 predictions" in capsys.readouterr().out
    output.unlink()
    (predictions / f"{IDS[0]}.png").unlink()
    assert main(words) == 2 and IDS[0] in capsys.readouterr().err and not output.exists()
