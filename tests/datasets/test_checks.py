"""A data set is looked at as a whole: damage inside its files, and masks that mean something else than its labels."""

import os

import numpy as np
import pytest
from conftest import make_photographs
from PIL import Image

from sscnb.datasets import open_dataset
from sscnb.datasets.checks import check_images
from sscnb.errors import UserError

IDS = [f"{n:03d}" for n in range(6)]


def message(root, ids=IDS) -> str:
    with pytest.raises(UserError) as caught:
        check_images(open_dataset(root), ids, masks=True)
    return str(caught.value)


def paint(root, change) -> None:
    for path in (root / "SegmentationClass").iterdir():
        with Image.open(path) as mask:
            values = change(np.array(mask))
        Image.fromarray(values.astype(np.uint8)).save(path)


def test_a_good_folder(photographs, capsys):
    check_images(open_dataset(photographs), IDS, masks=True)
    assert "note" not in capsys.readouterr().out


def test_classes_in_another_order_than_the_masks(photographs):
    (photographs / "classes.txt").write_text("square\ndisc\n")
    text = message(photographs)
    assert "4 of 6 masks contradict" in text and "Check classes.txt" in text
    assert f"mask {photographs}/SegmentationClass/000.png shows 'square', which is no label of its image" in text


def test_one_mask_of_many_is_named_in_a_note(tmp_path, capsys):
    root = make_photographs(tmp_path / "many", count=24)
    Image.fromarray(np.full((48, 64), 2, np.uint8)).save(root / "SegmentationClass/000.png")
    check_images(open_dataset(root), [f"{n:03d}" for n in range(24)], masks=True)
    said = capsys.readouterr().out
    assert "note: 1 of 24 masks" in said and "SegmentationClass/000.png shows 'square'" in said


def test_masks_of_0_and_255(photographs):
    """What many annotation tools write: the message says what such a mask needs, and that is enough."""
    paint(photographs, lambda mask: (mask > 0) * 255)
    text = message(photographs)
    assert "it holds 0, 255 alone" in text and "1 for 'disc' up to 2 for 'square'" in text and "Divide" not in text
    rows = "".join(f"{i},disc\n" for i in IDS)
    (photographs / "labels.csv").write_text("id,classes\n" + rows)
    (photographs / "classes.txt").write_text("disc\n")
    assert "Divide masks of 0 and 255 by 255" in message(photographs)
    paint(photographs, lambda mask: mask // 255)
    check_images(open_dataset(photographs), IDS, masks=True)


def test_empty_masks(photographs, capsys):
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(photographs / "SegmentationClass/000.png")
    check_images(open_dataset(photographs), IDS, masks=True)
    assert "000.png shows none of disc: it holds 0 alone" in capsys.readouterr().out
    paint(photographs, lambda mask: mask * 0)
    assert "6 of 6 masks contradict" in message(photographs)


def test_two_images_of_one_id(photographs):
    Image.new("RGB", (9, 9)).save(photographs / "JPEGImages/001.png")
    text = message(photographs)
    assert "001.jpg has another of its id beside it, 001.png" in text and "1 of 6" in text


def test_damage_that_still_decodes(photographs):
    path = photographs / "JPEGImages/002.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:900] + bytes(400) + whole[1300:])
    text = message(photographs)
    assert f"image {path} is damaged" in text and "1 of 6" in text


def test_files_that_the_system_refuses_do_not_hide_the_others(photographs):
    (photographs / "JPEGImages/001.jpg").unlink()
    os.mkfifo(photographs / "JPEGImages/001.jpg")
    (photographs / "SegmentationClass/002.png").write_bytes(b"")
    text = message(photographs)
    assert "2 of 6" in text and "'001'" in text and "002.png" in text
