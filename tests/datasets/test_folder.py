"""VOC-layout folders: what is read, and what is said of a folder that has a fault."""

import io
import os

import numpy as np
import pytest
from conftest import CLASSES
from PIL import Image

from sscnb.datasets import VOC_CLASSES, open_dataset
from sscnb.datasets.checks import check_images
from sscnb.datasets.images import image_size, read_image, read_mask
from sscnb.errors import UserError


def message(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def write_xml(root, image_id, names):
    objects = "".join(f"<object><name>{name}</name></object>" for name in names)
    (root / "Annotations").mkdir(exist_ok=True)
    (root / f"Annotations/{image_id}.xml").write_text(f"<annotation>{objects}</annotation>")


def test_ids_are_strings_in_the_order_of_the_file(photographs):
    (photographs / "ImageSets/Segmentation/odd.txt").write_text("003\n000\n\n  005  \n")
    dataset = open_dataset(photographs)
    assert dataset.ids("odd") == ["003", "000", "005"]
    assert dataset.splits == ["odd", "train", "val"]


def test_image_mask_and_labels(photographs):
    dataset = open_dataset(photographs)
    assert dataset.classes == CLASSES
    assert dataset.image("002").shape == (64, 64, 3) and dataset.image("002").dtype == np.uint8
    assert set(np.unique(dataset.mask("002"))) == {0, 1, 2}
    assert [dataset.labels(i).tolist() for i in ("000", "001", "002")] == [[1, 0], [0, 1], [1, 1]]


def test_labels_never_come_from_masks(photographs):
    before = [open_dataset(photographs).labels(i).tolist() for i in ("000", "001")]
    for path in (photographs / "SegmentationClass").iterdir():
        path.write_bytes(b"not even a picture")
    assert [open_dataset(photographs).labels(i).tolist() for i in ("000", "001")] == before


def test_labels_from_xml_where_there_is_no_csv(photographs):
    (photographs / "labels.csv").unlink()
    write_xml(photographs, "000", ["square", "disc", "square"])
    dataset = open_dataset(photographs)
    assert dataset.class_names("000") == ("square", "disc")
    assert dataset.labels("000").tolist() == [1, 1]
    text = message(dataset.labels, "001")
    assert "'001'" in text and "labels.csv" in text and "001.xml" in text


def test_labels_csv_goes_before_xml(photographs):
    write_xml(photographs, "000", ["square"])
    assert open_dataset(photographs).class_names("000") == ("disc",)


def test_an_image_may_have_no_class(photographs):
    path = photographs / "labels.csv"
    path.write_text(path.read_text().replace("000,disc", "000,"))
    assert open_dataset(photographs).labels("000").tolist() == [0, 0]


def test_without_classes_txt_the_classes_are_vocs(photographs):
    (photographs / "classes.txt").unlink()
    dataset = open_dataset(photographs)
    assert dataset.classes == VOC_CLASSES and len(dataset.classes) == 20
    write_xml(photographs, "000", ["tvmonitor"])
    (photographs / "labels.csv").unlink()
    assert open_dataset(photographs).labels("000").tolist() == [0.0] * 19 + [1.0]


def test_files_with_a_byte_order_mark_are_read_as_without(photographs):
    for name in ("labels.csv", "classes.txt", "ImageSets/Segmentation/train.txt"):
        text = (photographs / name).read_text()
        (photographs / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    dataset = open_dataset(photographs)
    assert dataset.classes == CLASSES and dataset.ids("train")[0] == "000"
    assert dataset.class_names("000") == ("disc",)


@pytest.mark.parametrize("suffix", [".jpeg", ".png", ".JPG", ".PNG"])
def test_other_suffixes_are_found(photographs, suffix):
    picture = Image.open(photographs / "JPEGImages/000.jpg")
    picture.save(photographs / f"JPEGImages/000{suffix}")
    (photographs / "JPEGImages/000.jpg").unlink()
    dataset = open_dataset(photographs)
    assert dataset.image_path("000").name == f"000{suffix}"
    assert dataset.image("000").shape == (48, 64, 3)


def test_extended_masks_go_before_the_original_ones(photographs):
    (photographs / "SegmentationClassAug").mkdir()
    Image.fromarray(np.full((48, 64), 2, np.uint8)).save(photographs / "SegmentationClassAug/000.png")
    assert (open_dataset(photographs).mask("000") == 2).all()


def test_has_masks(photographs):
    assert open_dataset(photographs).has_masks("val")
    (photographs / "SegmentationClass/005.png").unlink()
    assert not open_dataset(photographs).has_masks("val") and open_dataset(photographs).has_masks("train")


def test_photographs_are_turned_upright(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :10] = 255  # a bright left third
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: left becomes top
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = read_image(tmp_path / "a.png")
    assert upright.shape == (30, 20, 3) and image_size(tmp_path / "a.png") == (30, 20)
    assert (upright[:10] == 255).all() and (upright[10:] == 0).all()


# --- faults: the message names the file or the key ---------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_an_image_cut_off_anywhere_is_refused_by_name(tmp_path, format):
    memory = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(memory, format)
    whole, path = memory.getvalue(), tmp_path / "photo.jpg"
    for length in range(0, len(whole) - 12, 61):
        path.write_bytes(whole[:length])
        text = message(read_image, path)
        assert str(path) in text and "\n" not in text


def test_truncated_jpeg(photographs):
    path = photographs / "JPEGImages/001.jpg"
    path.write_bytes(path.read_bytes()[:600])
    text = message(check_images, open_dataset(photographs), ["000", "001"])
    assert str(path) in text and "1 of 2 images" in text and "000.jpg" not in text


def test_mask_of_another_size(photographs):
    path = photographs / "SegmentationClass/000.png"
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)
    text = message(open_dataset(photographs).mask, "000")
    assert str(path) in text and "40x30" in text and "64x48" in text


def test_masks_are_checked_where_there_are_some(photographs):
    (photographs / "SegmentationClass/000.png").unlink()
    check_images(open_dataset(photographs), ["000", "001"], masks=True)
    path = photographs / "SegmentationClass/001.png"
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)
    assert str(path) in message(check_images, open_dataset(photographs), ["000", "001"], masks=True)
    check_images(open_dataset(photographs), ["000", "001"])


def test_mask_index_without_a_class(photographs):
    path = photographs / "SegmentationClass/000.png"
    mask = np.zeros((48, 64), np.uint8)
    mask[:5], mask[5:9] = 255, 2
    Image.fromarray(mask).save(path)
    assert (open_dataset(photographs).mask("000") == mask).all()
    mask[0, 0] = 3
    Image.fromarray(mask).save(path)
    text = message(open_dataset(photographs).mask, "000")
    assert str(path) in text and "index 3" in text and "2 classes" in text


def test_mask_in_colours(photographs):
    path = photographs / "SegmentationClass/000.png"
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    text = message(read_mask, path)
    assert str(path) in text and "RGB" in text
    assert str(photographs / "none.png") in message(read_mask, photographs / "none.png")


def test_id_in_the_split_without_an_image(photographs):
    with (photographs / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write("ghost\n")
    dataset = open_dataset(photographs)
    text = message(dataset.image, dataset.ids("train")[-1])
    assert "'ghost'" in text and str(photographs / "JPEGImages") in text and "ghost.jpg" in text


def test_unknown_class_in_labels(photographs):
    path = photographs / "labels.csv"
    path.write_text(path.read_text().replace("001,square", "001,sqare"))
    text = message(open_dataset(photographs).labels, "001")
    assert str(path) in text and "'sqare'" in text and "'001'" in text and "did you mean 'square'?" in text


def test_unknown_class_in_an_annotation(photographs):
    (photographs / "labels.csv").unlink()
    write_xml(photographs, "000", ["zebra"])
    text = message(open_dataset(photographs).labels, "000")
    assert "000.xml" in text and "'zebra'" in text and "'disc', 'square'" in text


def test_annotation_that_is_no_xml(photographs):
    (photographs / "labels.csv").unlink()
    (photographs / "Annotations").mkdir()
    (photographs / "Annotations/000.xml").write_text("<annotation>")
    assert "000.xml" in message(open_dataset(photographs).labels, "000")


def test_image_without_a_row_of_labels(photographs):
    path = photographs / "labels.csv"
    path.write_text(path.read_text().replace("001,square\n", ""))
    text = message(open_dataset(photographs).labels, "001")
    assert str(path) in text and "'001'" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("000,disc\n", "must begin with"),
        ("", "must begin with"),
        ("id,classes\n000,disc,square\n", "'000,disc,square'"),
        ("id,classes\n000\n", "'000'"),
        ("id,classes\n000,disc\n000,square\n", "row 3: id '000'"),
    ],
)
def test_malformed_labels(photographs, text, expected):
    (photographs / "labels.csv").write_text(text)
    found = message(open_dataset, photographs)
    assert str(photographs / "labels.csv") in found and expected in found


def test_text_in_another_encoding(photographs):
    (photographs / "labels.csv").write_bytes("id,classes\n000,Fläche\n".encode("latin-1"))
    assert f"{photographs / 'labels.csv'} is not UTF-8" in message(open_dataset, photographs)


@pytest.mark.parametrize("name", ["labels.csv", "classes.txt", "ImageSets/Segmentation/train.txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_texts_in_other_encodings(photographs, name, encoding):
    text = (photographs / name).read_text() + ("" if "16" in encoding else "Fläche\n")
    (photographs / name).write_bytes(text.encode(encoding))
    found = message(lambda: open_dataset(photographs).ids("train"))
    assert f"{photographs / name} is not UTF-8" in found and "Save it in that encoding" in found and len(found) < 400


@pytest.mark.parametrize("name", ["labels.csv", "classes.txt"])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_texts_that_are_no_files(photographs, name, kind):
    (photographs / name).unlink()
    (photographs / name).mkdir() if kind == "folder" else os.mkfifo(photographs / name)
    assert f"{photographs / name} is no file" in message(open_dataset, photographs)


def test_a_field_of_more_than_128_kb(photographs):
    (photographs / "labels.csv").write_text('id,classes\n000,"disc\n' + "001,square\n" * 20_000)
    found = message(open_dataset, photographs)
    assert "labels.csv is no table" in found and "quotation mark" in found


BOMB = '<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx">' + "".join(
    f'<!ENTITY {chr(99 + n)} "{f"&{chr(98 + n)};" * 10}">' for n in range(9)
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "annotation {} is no file"),
        (b"<annotation>", "annotation {} is not readable as XML"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "annotation {} is not readable as XML"),
        (b'<?xml version="1.0" encoding="shift_jis"?><annotation/>', "annotation {} is not readable as XML"),
        (b"\xff\xfe\0\0", "annotation {} is not readable as XML"),
        (f"{BOMB}]><annotation>&k;</annotation>".encode(), "annotation {} is not readable as XML"),
        (b"<annotation><object><name>../x</name></object></annotation>", "{}: unknown class '../x'"),
    ],
)
def test_annotations_that_cannot_be_read(photographs, content, expected):
    (photographs / "labels.csv").unlink()
    path = photographs / "Annotations/000.xml"
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_bytes(content)
    assert expected.format(path) in message(open_dataset(photographs).labels, "000")


def test_empty_split(photographs):
    path = photographs / "ImageSets/Segmentation/train.txt"
    path.write_text("\n \n")
    assert f"split {path} is empty" in message(open_dataset(photographs).ids, "train")


def test_missing_split_and_repeated_id(photographs):
    text = message(open_dataset(photographs).ids, "trian")
    assert "'trian'" in text and "did you mean 'train'?" in text
    (photographs / "ImageSets/Segmentation/train.txt").write_text("000\n001\n000\n")
    assert "'000' more than once" in message(open_dataset(photographs).ids, "train")


@pytest.mark.parametrize("part", ["JPEGImages", "ImageSets/Segmentation"])
def test_folder_of_another_layout(photographs, part):
    (photographs / part).rename(photographs / "elsewhere")
    (photographs / "labels.csv").unlink()  # with it, the lists may be absent
    text = message(open_dataset, photographs)
    assert str(photographs) in text and f"{part}/ is missing" in text


@pytest.mark.parametrize("text", ["", "disc\nsquare\ndisc\n"])
def test_malformed_classes(photographs, text):
    (photographs / "classes.txt").write_text(text)
    assert str(photographs / "classes.txt") in message(open_dataset, photographs)


def test_all_faults_are_reported_at_once(photographs):
    for image_id in ("000", "001", "002", "003", "004", "005"):
        (photographs / f"JPEGImages/{image_id}.jpg").write_bytes(b"")
    text = message(check_images, open_dataset(photographs), [f"{n:03d}" for n in range(6)])
    assert "6 of 6 images" in text and "... and 1 more." in text
    assert [f"{n:03d}.jpg" in text for n in range(6)] == [True] * 5 + [False]


def test_a_picture_too_large_to_be_one(photographs, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "000.jpg" in message(open_dataset(photographs).image, "000")
