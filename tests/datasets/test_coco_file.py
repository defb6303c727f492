"""COCO's instances files: what is not as released is named, before anything is drawn or written."""

import json
from copy import deepcopy

import pytest

from sscnb.datasets.coco_file import read_instances
from sscnb.errors import UserError

GOOD = {
    "images": [{"id": 9, "file_name": "a.jpg", "height": 20, "width": 30}],
    "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    "annotations": [
        {"id": 2, "image_id": 9, "category_id": 3, "iscrowd": 0, "segmentation": [[0, 0, 5, 0, 5, 5]]},
        {"id": 1, "image_id": 9, "category_id": 90, "iscrowd": 1, "segmentation": {"counts": [600], "size": [20, 30]}},
    ],
}


def message(path) -> str:
    with pytest.raises(UserError) as caught:
        read_instances(path)
    return str(caught.value)


def test_what_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    found = read_instances(tmp_path / "a.json")
    assert list(found.categories.items()) == [(3, "car"), (90, "toothbrush")]
    assert [entry["id"] for entry in found.annotations] == [1, 2] and found.images == GOOD["images"]


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "null", "7", '"text"', "", "{", '{"images": []}', "[" * 100_000, '{"images": {}, "annotations": []}'],
)
def test_json_that_is_not_cocos(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    found = message(tmp_path / "a.json")
    assert f"{tmp_path}/a.json is no COCO instances file" in found and "Unpack it again" in found and len(found) < 400


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("images", 0), 3, "image 0 in the list is 3"),
        (("images", 0, "id"), "9", "has id '9': expected a whole number"),
        (("images", 0, "id"), True, "has id True"),
        (("images", 0, "file_name"), None, "expected a text"),
        (("images", 0, "file_name"), "../../x.jpg", "has a path in it"),
        (("images", 0, "file_name"), "/etc/passwd", "has a path in it"),
        (("images", 0, "file_name"), "passwd", "a name that ends in .jpg"),
        (("images", 0, "file_name"), ".jpg", "begins with a dot"),
        (("images", 0, "height"), 0, "above 0"),
        (("images", 0, "height"), 20.0, "above 0"),
        (("images", 0, "height"), 10**9, "more than 25 million pixels"),
        (("categories", 0, "name"), "", "expected a text"),
        (("categories", 0, "name"), "car", "names 'car' twice"),
        (("categories", 0, "name"), "background", "is no class"),
        (("categories", 0, "id"), 3, "two entries are category 3"),
        (("annotations", 0, "id"), 1, "two entries are annotation 1"),
        (("annotations", 0, "image_id"), "9", "has image_id '9': expected a whole number"),
        (("annotations", 0, "image_id"), 10, "no image has that id"),
        (("annotations", 0, "image_id"), [], "expected a whole number"),
        (("annotations", 0, "category_id"), 77, "no category has that id"),
        (("annotations", 0, "iscrowd"), 2, "expected 0 or 1"),
        (("annotations", 0, "segmentation"), "text", "expected polygons or run lengths"),
        (("annotations", 0, "segmentation"), ..., "annotation 2 has no 'segmentation'"),
    ],
)
def test_an_entry_that_is_not_cocos(tmp_path, place, value, expected):
    content = deepcopy(GOOD)
    part = content
    for key in place[:-1]:
        part = part[key]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = message(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in found and expected in found


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_two_ids_of_one_file(tmp_path, name):
    content = deepcopy(GOOD)
    content["images"].append({"id": 10, "file_name": name, "height": 20, "width": 30})
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert "images 9 and 10 have one file" in message(tmp_path / "a.json")


def test_what_is_no_file(tmp_path):
    (tmp_path / "a.json").mkdir()
    assert "it is no file" in message(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b'{"images": "\xff"}')
    assert "no COCO instances file" in message(tmp_path / "b.json")
