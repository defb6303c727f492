"""What may be an id: nothing that leads out of the data set, wherever it enters; and what may be a class."""

import pytest
from conftest import snapshot

from sscnb.datasets import open_dataset
from sscnb.datasets.names import LONGEST, check_classes, check_name, name_fault
from sscnb.errors import UserError

OUTSIDE = [
    "../x",
    "a/b",
    "/etc/passwd",
    "..\\x",
    ".hidden",
    "..",
    ".",
    "-rf",
    "a\x07b",
    "a\u202eb",
    "x" * 201,
    "nul",
    "a.",
]


def message(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("name", ["000", "000 copy", "2008_000001", "Zürich (3)", "a.b", "x" * LONGEST, "a..b", "con2"])
def test_plain_names(name):
    assert check_name(name, "a list") == name


@pytest.mark.parametrize("name", [*OUTSIDE, "", " a", "COM1", "aux.old", "é" * 101, "\udce9"])
def test_names_that_lead_elsewhere_or_cannot_be_files(name):
    assert name_fault(name)
    text = message(check_name, name, "split a.txt, line 3")
    assert text.startswith("split a.txt, line 3: ") and "Rename" in text and len(text) < 400


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("place", ["ImageSets/Segmentation/train.txt", "labels.csv"])
def test_ids_are_checked_where_they_enter(photographs, name, place):
    before = snapshot(photographs.parent)
    path, encoding = photographs / place, "utf-8"
    with path.open("a", encoding=encoding, newline="\n") as file:
        file.write(f"{name}\n" if place.endswith("txt") else f"{name},disc\n")
    text = message(lambda: open_dataset(photographs).ids("train"))
    assert str(path) in text and "no name of an image" in text and ("line 5" in text or "row 8" in text)
    after = snapshot(photographs.parent)
    assert {k for k in after if after[k] != before.get(k)} == {str(path.relative_to(photographs.parent))}


def test_a_split_is_no_path(photographs):
    (photographs.parent / "x.txt").write_text("000\n")
    assert "name of a split" in message(open_dataset(photographs).ids, "../../../x")


def test_an_id_may_have_spaces(photographs):
    """`000 copy` is the copy, not the original."""
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (photographs / folder / f"000 copy{suffix}").write_bytes((photographs / folder / f"001{suffix}").read_bytes())
    with (photographs / "labels.csv").open("a") as file:
        file.write("000 copy,square\n")
    (photographs / "ImageSets/Segmentation/both.txt").write_text("000\n000 copy\n")
    dataset = open_dataset(photographs)
    assert dataset.ids("both") == ["000", "000 copy"]
    assert dataset.image("000 copy").shape != dataset.image("000").shape
    assert (dataset.mask("000 copy") == dataset.mask("001")).all() and dataset.class_names("000 copy") == ("square",)
    # VOC's lists of one class have a second column.
    (photographs / "ImageSets/Segmentation/both.txt").write_text("000 -1\n")
    assert "one id and nothing else" in message(dataset.image, dataset.ids("both")[0])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["background", "disc"], "'background' (1 of 2), which is no class"),
        (["disc", "__Background__"], "'__Background__' (2 of 2)"),
        (["__ignore__", "_background_", "disc"], "'__ignore__'"),
        (["disc", "square", "disc"], "names 'disc' twice (1 and 3)"),
        (["disc", "", "square"], "line 2 is empty"),
        (["a;b"], "semicolons"),
        (["a\x07"], "printed"),
        (["x" * 300], "200 bytes"),
        ([], "1 to 254"),
        ([f"c{n}" for n in range(255)], "1 to 254"),
    ],
)
def test_names_that_are_no_classes(photographs, names, expected):
    text = message(check_classes, names, "classes.txt")
    assert text.startswith("classes.txt") and expected in text
    if len("".join(names)) > 1:  # one empty line is an empty file
        (photographs / "classes.txt").write_text("\n".join(names) + "\n")
        assert expected in message(open_dataset, photographs)


def test_blank_lines_at_the_end_are_no_classes(photographs):
    (photographs / "classes.txt").write_text("disc\nsquare\n\n \n")
    assert open_dataset(photographs).classes == ("disc", "square")


def test_a_table_that_names_the_background(tmp_path, photographs):
    (photographs / "JPEGImages").rename(tmp_path / "mine")
    (tmp_path / "mine/labels.csv").write_text("id,classes\n000,background;disc\n")
    assert "labels.csv lists 'background'" in message(open_dataset, tmp_path / "mine")
