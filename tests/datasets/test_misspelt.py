"""A class that looks like a slip of the pen is named, and classes that merely resemble each other are not."""

import pytest

from sscnb.datasets import misspelt
from sscnb.stages import open_run, prepare_data


@pytest.mark.parametrize(
    ("images", "named"),
    [
        ({"cow": 9, "cowe": 1, "sheep": 10}, ["cowe"]),
        ({"horse": 40, "hourse": 2}, ["hourse"]),
        ({"cat": 30, "car": 3}, []),  # another word
        ({"bottle": 20, "bottles": 20}, []),  # as many: two classes, it seems
        ({"cow": 3, "cowe": 1}, []),  # too few to tell
    ],
)
def test_rare_classes_with_nearly_the_name_of_another(images, named):
    assert [doubt.split("'")[1] for doubt in misspelt(images)] == named


def test_data_preparation_says_so(photographs, tmp_path, capsys):
    (photographs / "classes.txt").unlink()
    labels = photographs / "labels.csv"
    labels.write_text(
        labels.read_text().replace("square", "disc", 9).replace("disc;disc", "disc").replace("003,disc", "003,disck")
    )
    for name in ("ImageSets", "SegmentationClass"):
        (photographs / name).rename(photographs / f"no_{name}")
    prepare_data(open_run("folder", str(tmp_path / "run"), str(photographs), 0, {}))
    said = capsys.readouterr().err
    assert "images of each class: disc 5, disck 1" in said and "note: class 'disck' has 1 image" in said
