"""Superpixels of others: taken over whole, and refused by name."""

import numpy as np
import pytest
from PIL import Image

from sscnb.datasets.images import read_ids
from sscnb.errors import UserError
from sscnb.files import read_json
from sscnb.method.foreign_superpixels import adopt_superpixels
from sscnb.method.superpixels import segment_files

SIZE = (6, 50)  # height, width


def write_map(path, ids, channels=True):
    """Write ids as the release has them, or as plain 16-bit grey values."""
    if channels:
        ids = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(ids if channels else ids.astype(np.uint16)).save(path)


@pytest.fixture
def images(tmp_path):
    paths = {}
    for k in range(8):
        paths[f"p{k}"] = tmp_path / f"p{k}.jpg"
        Image.new("RGB", SIZE[::-1], (k, 0, 0)).save(paths[f"p{k}"])
    return paths


@pytest.fixture
def theirs(tmp_path, images):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for k, name in enumerate(images):
        # Ids with gaps, over all three channels; region 7 is in two places, since ICD merges across the image.
        write_map(folder / f"{name}.png", np.where(np.arange(300).reshape(SIZE) % 4 == 0, 7, 70000 + k))
    return folder


def adopt(images, theirs, tmp_path, **options):
    return adopt_superpixels(images, theirs, tmp_path / "out", workers=1, progress=False, **options)


def test_ids_are_numbered_and_kept_apart(images, theirs, tmp_path):
    assert adopt(images, theirs, tmp_path) == list(images)
    expected = (np.arange(300).reshape(SIZE) % 4 != 0).astype(int)
    for name in images:
        assert np.array_equal(read_ids(tmp_path / f"out/{name}.png"), expected)
    with Image.open(tmp_path / "out/p0.png") as file:
        assert file.mode == "L"
    assert read_json(tmp_path / "out/superpixels.json") == {"folder": str(theirs)}


def test_more_than_256_regions_take_16_bits(images, theirs, tmp_path):
    ids = 3 * np.arange(300).reshape(SIZE)
    write_map(theirs / "p3.png", ids)
    write_map(theirs / "p4.png", ids, channels=False)
    adopt(images, theirs, tmp_path)
    for name in ("p3", "p4"):
        found = read_ids(tmp_path / f"out/{name}.png")
        assert found.dtype == np.int32 and np.array_equal(found, ids // 3)


def test_what_is_written_is_left_alone(images, theirs, tmp_path):
    adopt({name: images[name] for name in ("p0", "p1")}, theirs, tmp_path)
    before = (tmp_path / "out/p0.png").stat().st_mtime_ns
    assert adopt(images, theirs, tmp_path) == [f"p{k}" for k in range(2, 8)]
    assert (tmp_path / "out/p0.png").stat().st_mtime_ns == before and adopt(images, theirs, tmp_path) == []


def test_missing_files_are_told_before_anything_is_written(images, theirs, tmp_path):
    for k in range(7):
        (theirs / f"p{k}.png").unlink()
    with pytest.raises(UserError, match="7 of 8 images") as caught:
        adopt(images, theirs, tmp_path)
    text = str(caught.value)
    assert [f"p{k}.png is missing" in text for k in range(7)] == [True] * 5 + [False] * 2 and "and 2 more" in text
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="nowhere, which is no folder"):
        adopt(images, tmp_path / "nowhere", tmp_path)


def test_files_of_another_size_or_kind_are_named_and_the_others_written(images, theirs, tmp_path):
    write_map(theirs / "p2.png", np.zeros(SIZE[::-1], int))  # lying on its side
    (theirs / "p5.png").write_bytes((theirs / "p5.png").read_bytes()[:40])
    with pytest.raises(UserError, match="2 of 8 images") as caught:
        adopt(images, theirs, tmp_path)
    text = str(caught.value)
    assert f"{theirs / 'p2.png'} is of height and width (50, 6)" in text and "(6, 50)" in text
    assert f"cannot read superpixels from {theirs / 'p5.png'}" in text
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.png")) == ["p0", "p1", "p3", "p4", "p6", "p7"]


def test_one_folder_holds_one_kind(images, theirs, tmp_path):
    adopt(images, theirs, tmp_path)
    with pytest.raises(UserError, match="other settings"):
        segment_files(images, tmp_path / "out", workers=1, progress=False)


def test_colours_are_no_ids(images):
    with pytest.raises(UserError, match="Ids are grey values of a PNG"):
        read_ids(images["p0"])
