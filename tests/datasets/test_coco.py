"""COCO 2014 in a miniature of its own format: polygons, run lengths, a crowd, overlapping objects."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import snapshot
from PIL import Image

pytest.importorskip("pycocotools")

from sscnb.commands.cli import main
from sscnb.datasets import coco, open_dataset
from sscnb.datasets.checks import check_images
from sscnb.datasets.coco import prepare_coco
from sscnb.datasets.regions import draw_mask
from sscnb.errors import UserError

HEIGHT, WIDTH = 20, 30
EXPECTED = {"train": 3, "val": 2}
CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}, {"id": 13, "name": "stop sign"}]


def box(x: int, y: int, width: int, height: int) -> list[list[float]]:
    """Return a polygon whose inside is pixels x..x+width-1, y..y+height-1."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def runs(mask: np.ndarray) -> dict:
    """Return a mask as COCO's run lengths: along columns, beginning with the zeros."""
    flat = np.concatenate([[2], mask.T.ravel().astype(int), [2]])
    counts = np.diff(np.flatnonzero(np.diff(flat))).tolist()
    return {"counts": counts if not mask[0, 0] else [0, *counts], "size": list(mask.shape)}


def filled(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + height, x : x + width] = True
    return mask


CROWD = filled(0, 10, 30, 8)
OBJECTS = {  # by image: category, crowd, region
    "train": {
        9: [(3, 0, box(2, 2, 20, 12)), (13, 0, box(8, 4, 5, 5)), (90, 1, runs(CROWD))],
        25: [(90, 1, runs(filled(3, 3, 9, 9)))],
        30: [],  # no object
    },
    "val": {42: [(13, 0, box(1, 1, 6, 6) + box(20, 10, 4, 4))], 61: []},
}


def write_coco(root: Path) -> Path:
    (root / "annotations").mkdir(parents=True)
    number = 900
    for split, images in OBJECTS.items():
        (root / f"{split}2014").mkdir()
        listed, annotations = [], []
        for image_id, objects in images.items():
            name = f"COCO_{split}2014_{image_id:012d}.jpg"
            Image.new("RGB", (WIDTH, HEIGHT), "grey").save(root / f"{split}2014" / name)
            listed.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
            for category, crowd, region in objects:
                number -= 1  # the release's numbers are in no order
                annotation = {"id": number, "image_id": image_id, "category_id": category, "iscrowd": crowd}
                annotations.append({**annotation, "segmentation": region, "bbox": [0, 0, 1, 1], "area": 1.0})
        content = {"info": {}, "licenses": [], "images": listed, "annotations": annotations, "categories": CATEGORIES}
        (root / f"annotations/instances_{split}2014.json").write_text(json.dumps(content))
    return root


def change(root: Path, split: str, edit) -> Path:
    path = root / f"annotations/instances_{split}2014.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    return write_coco(tmp_path / "coco")


def prepare(root: Path, **named) -> Path:
    return prepare_coco(root, **{"expected": EXPECTED, "classes": 3, "workers": 1, **named})


def refusal(root: Path, **named) -> str:
    with pytest.raises(UserError) as caught:
        prepare(root, **named)
    return str(caught.value)


def test_lists_classes_and_labels(root, capsys):
    folder = prepare(root)
    assert folder == root
    dataset = open_dataset(folder)
    assert dataset.classes == ("car", "stop sign", "toothbrush")  # in the order of COCO's numbers
    first, second = "COCO_train2014_000000000009", "COCO_train2014_000000000025"
    assert dataset.ids("train") == [first, second]  # without the image that shows nothing
    assert dataset.ids("val") == ["COCO_val2014_000000000042", "COCO_val2014_000000000061"]
    assert dataset.labels(first).tolist() == [1, 1, 1] and dataset.labels(second).tolist() == [0, 0, 1]
    assert dataset.labels("COCO_val2014_000000000061").tolist() == [0, 0, 0]
    check_images(dataset, dataset.ids("train") + dataset.ids("val"), masks=True)
    assert dataset.has_masks("train") and dataset.has_masks("val")
    assert "3 classes; train 2, val 2" in capsys.readouterr().out


def test_masks_by_hand(root):
    dataset = open_dataset(prepare(root))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:18] = 255  # the crowd, below all
    expected[2:14, 2:22] = 1  # the car before it
    expected[4:9, 8:13] = 2  # the sign, smaller, before the car
    assert (dataset.mask("COCO_train2014_000000000009") == expected).all()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[1:7, 1:7] = expected[10:14, 20:24] = 2  # two polygons are one object
    assert (dataset.mask("COCO_val2014_000000000042") == expected).all()
    assert (dataset.mask("COCO_val2014_000000000061") == 0).all()


def test_the_smaller_object_is_in_front_in_any_order():
    regions = [(1, box(0, 0, 20, 20)), (2, box(5, 5, 10, 10)), (3, box(8, 8, 3, 3)), (255, runs(CROWD))]
    first = draw_mask(HEIGHT, WIDTH, regions)
    assert first[9, 9] == 3 and first[6, 6] == 2 and first[1, 1] == 1 and first[17, 28] == 255 and first[0, 28] == 0
    for order in ([3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]):
        assert (draw_mask(HEIGHT, WIDTH, [regions[k] for k in order]) == first).all()


def test_every_way_of_writing_a_region_gives_the_same():
    from pycocotools import mask as masks

    inside = filled(4, 6, 7, 5)
    compressed = masks.frPyObjects(runs(inside), HEIGHT, WIDTH)
    as_text = {**compressed, "counts": compressed["counts"].decode()}
    for region in (box(4, 6, 7, 5), runs(inside), compressed, as_text):
        assert (draw_mask(HEIGHT, WIDTH, [(1, region)]) == inside).all()
    # Four numbers are two points, and no box of that many pixels.
    assert (draw_mask(HEIGHT, WIDTH, [(1, [[4, 6, 7, 5]]), (2, [])]) == 0).all()


def test_images_are_links_and_the_source_stays_as_it_was(root, tmp_path):
    before = snapshot(root)
    folder = prepare(root, output=tmp_path / "made")
    assert snapshot(root) == before
    assert len(list((folder / "JPEGImages").iterdir())) == 5
    assert all(path.is_symlink() and path.is_file() for path in (folder / "JPEGImages").iterdir())
    assert not any(path.is_symlink() for path in (folder / "SegmentationClass").iterdir())


def test_an_interrupted_call_goes_on(root, monkeypatch):
    write, done = coco._write_mask, []

    def interrupted(job):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(job[0].name)
        return write(job)

    monkeypatch.setattr(coco, "_write_mask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(root)
    with pytest.raises(UserError):  # no data set yet
        open_dataset(root)

    def counted(job):
        done.append(job[0].name)
        return write(job)

    monkeypatch.setattr(coco, "_write_mask", counted)
    prepare(root)
    assert len(done) == len(set(done)) == 5


def test_several_processes_write_the_same(root, tmp_path):
    alone = prepare(root, output=tmp_path / "alone") / "SegmentationClass"
    assert snapshot(prepare(root, output=tmp_path / "several", workers=2) / "SegmentationClass") == snapshot(alone)


def test_the_second_time_nothing_is_written(root):
    prepare(root)
    times = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    prepare(root)
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == times


# --- what is wrong ---------------------------------------------------------------------------------------------------


def test_counts_that_are_not_the_releases(root, capsys):
    assert "3 found, 82,783 in the release" in refusal(root, expected=coco.COUNTS)
    assert "classes in instances_train2014.json: 3 found, 80" in refusal(root, classes=80)
    assert not (root / "ImageSets").exists()
    prepare(root, expected=coco.COUNTS, classes=80, partial=True)
    said = capsys.readouterr().out
    assert "note: images in instances_val2014.json: 2 found, 40,504" in said
    assert len(open_dataset(root).ids("train")) == 2


def test_missing_images(root, capsys):
    path = root / "train2014/COCO_train2014_000000000009.jpg"
    path.unlink()
    assert str(path) in refusal(root)
    prepare(root, partial=True)
    assert str(path) in capsys.readouterr().out
    assert open_dataset(root).ids("train") == ["COCO_train2014_000000000025"]


def test_missing_annotations(root, capsys):
    path = root / "annotations/instances_train2014.json"
    path.unlink()
    assert str(path) in refusal(root)
    prepare(root, partial=True)
    assert "no split train" in capsys.readouterr().out and open_dataset(root).splits == ["val"]
    (root / "annotations/instances_val2014.json").unlink()
    assert "neither" in refusal(root, partial=True)


def test_truncated_annotations(root):
    path = root / "annotations/instances_val2014.json"
    path.write_text(path.read_text()[:-40])
    assert f"{path} is no COCO instances file" in refusal(root)
    path.write_text('{"images": []}')
    assert f"{path} is no COCO instances file" in refusal(root)


def test_an_image_of_another_size_and_a_region_that_cannot_be_drawn(root):
    path = root / "train2014/COCO_train2014_000000000030.jpg"
    Image.new("RGB", (7, 7)).save(path)

    def damage(content):
        content["annotations"][0]["segmentation"] = {"counts": "%%", "size": [3, 3]}

    change(root, "train", damage)
    text = refusal(root)
    assert f"{path} is not of the 30x20 pixels" in text and "COCO_train2014_000000000009.jpg" in text
    assert "2 of 3 failed" in text and not (root / "ImageSets").exists()


@pytest.mark.parametrize(("key", "value"), [("category_id", 77), ("iscrowd", None)])
def test_an_annotation_of_no_category(root, key, value):
    def damage(content):
        entry = content["annotations"][0]
        entry.pop(key) if value is None else entry.update({key: value})

    path = change(root, "val", damage)
    text = refusal(root)
    assert str(path) in text and str(value or key) in text


def test_splits_with_other_classes(root):
    def rename(content):
        content["categories"][0]["name"] = "comb"

    assert str(change(root, "val", rename)) in refusal(root)


def test_without_pycocotools(root, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pycocotools" else find(name))
    before = snapshot(root)
    assert "pip install '.[coco]'" in refusal(root) and snapshot(root) == before


def test_command(root, tmp_path, capsys):
    words = ["data", "coco", "--root", str(root), "--output", str(tmp_path / "made"), "--workers", "1"]
    assert main(words) == 2 and "82,783" in capsys.readouterr().err
    assert main([*words, "--partial"]) == 0
    assert f"--preset coco --data-root {tmp_path / 'made'}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/passwd", "../outside.jpg"])
def test_a_file_name_that_leads_elsewhere(root, name):
    """Nothing outside is read, linked or written."""

    def damage(content):
        content["images"][0]["file_name"] = name

    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "outside.jpg")
    path = change(root, "train", damage)
    before = snapshot(root.parent)
    text = refusal(root)
    assert str(path) in text and "has a path in it" in text and snapshot(root.parent) == before


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ({"counts": [17], "size": [HEIGHT, WIDTH]}, "run lengths are of 17 pixels"),
        ([[float("nan")] * 6], "coordinate is nan"),
        ([[0, 0, 1e18, 0, 1e18, 1e18]], "coordinate is 1e+18"),
    ],
)
def test_a_region_that_would_show_memory_or_end_the_process(root, region, expected):
    change(root, "val", lambda content: content["annotations"][0].update(segmentation=region))
    text = refusal(root)
    assert "COCO_val2014_000000000042.jpg" in text and expected in text and "1 of 2 failed" in text
    assert not (root / "SegmentationClass/COCO_val2014_000000000042.png").exists()
    assert (root / "SegmentationClass/COCO_val2014_000000000061.png").is_file()
