import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sscnb.errors import UserError
from sscnb.files import read_json
from sscnb.method.region_merging import absorb_fragments, adjacent_pairs, describe, merge_regions, similarity
from sscnb.method.superpixels import (
    read_superpixels,
    relabel,
    segment,
    segment_files,
)

RED, BLUE = (200, 30, 40), (20, 60, 180)


def blobs(height, width, seed=0):
    """A picture with soft areas of many colours, edges at all angles and noise."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (4, 4, 0), mode="wrap")
    steps = np.round(4 * field / field.std()) * 30 + 128
    return (steps + rng.normal(scale=4, size=field.shape)).clip(0, 255).astype(np.uint8)


def two_colours(inside):
    return np.where(inside[..., None], RED, BLUE).astype(np.uint8)


def disc(height, width):
    y, x = np.mgrid[:height, :width]
    return (y - height / 2) ** 2 + (x - width / 3) ** 2 < (min(height, width) / 4) ** 2


def assert_superpixels(labels, shape, max_regions):
    assert labels.shape == shape
    count = int(labels.max()) + 1
    assert count <= max_regions
    assert np.unique(labels).tolist() == list(range(count))
    for k in range(count):
        assert ndimage.label(labels == k)[1] == 1, f"superpixel {k} is not connected"


@pytest.mark.parametrize("shape", [(96, 96), (60, 131)])
@pytest.mark.parametrize("max_regions", [64, 7, 1])
def test_labels_have_no_gaps_and_every_region_is_connected(shape, max_regions):
    labels = segment(blobs(*shape), max_regions=max_regions)
    assert_superpixels(labels, shape, max_regions)
    assert labels.max() + 1 == max_regions  # the picture has more areas than that: no more is merged than needed
    assert labels.dtype == np.uint8


def test_noise_keeps_the_properties():
    noise = np.random.default_rng(3).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    assert_superpixels(segment(noise), (70, 50), 64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 300), (300, 1), (2, 2), (3, 40)])
def test_tiny_and_one_pixel_wide_images(shape):
    noise = np.random.default_rng(4).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for max_regions in (1, 2, 64):
        assert_superpixels(segment(noise, max_regions=max_regions), shape, max_regions)


def test_many_regions_need_wider_integers():
    labels = segment(blobs(96, 96), max_regions=300)
    assert labels.dtype == np.int32
    assert_superpixels(labels, (96, 96), 300)


def test_the_same_image_gives_the_same_labels_in_raster_order():
    image = blobs(80, 80, seed=1)
    labels = segment(image)
    assert np.array_equal(labels, segment(image.copy()))
    first = np.unique(labels, return_index=True)[1]
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize("size", [(32, 32), (96, 128), (375, 500)])
def test_two_colours_are_two_regions(size):
    inside = disc(*size)
    for shape in (inside, np.indices(size)[1] >= size[1] // 2):
        assert np.array_equal(segment(two_colours(shape)) == 1, shape)
    assert segment(two_colours(inside), max_regions=1).max() == 0


def test_two_colours_with_noise_are_two_regions():
    # Felzenszwalb alone cuts the ramp that its blur makes of a long straight edge into strips.
    right = np.indices((300, 300))[1] >= 150
    noisy = two_colours(right) + np.random.default_rng(0).integers(-3, 4, (300, 300, 3))
    labels = segment(noisy.clip(0, 255).astype(np.uint8))
    assert labels.max() == 1
    assert (labels == right).mean() > 0.995


def test_a_flat_image_is_one_region():
    assert segment(np.full((40, 50, 3), 77, np.uint8)).tolist() == np.zeros((40, 50)).tolist()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_other_images_are_refused(image):
    with pytest.raises(UserError, match="H,W,3 of uint8"):
        segment(image)


def test_max_regions_must_be_positive():
    with pytest.raises(UserError, match="at least 1"):
        segment(np.zeros((8, 8, 3), np.uint8), max_regions=0)


def test_adjacent_pairs_share_an_edge_not_a_corner():
    assert adjacent_pairs(np.array([[0, 0, 1], [2, 3, 1]])).tolist() == [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]]
    assert adjacent_pairs(np.zeros((2, 2), int)).shape == (0, 2)


def test_fragments_go_to_the_nearest_colour():
    regions = np.array([[0, 0, 0, 1, 2, 2, 2]])
    image = np.array([10, 10, 10, 70, 90, 90, 90], np.uint8)[None, :, None].repeat(3, axis=2)
    assert absorb_fragments(image, regions, 2).tolist() == [[0, 0, 0, 1, 1, 1, 1]]
    assert absorb_fragments(image, regions, 1).tolist() == regions.tolist()
    assert absorb_fragments(image, regions, 100).max() == 0


def test_descriptors_by_hand():
    # Left half black, right half white: V falls into bins 0 and 24, hue and saturation are 0 in both.
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 255
    found = describe(image, np.array([[0, 0, 1, 1]] * 4))
    assert found.size.tolist() == [8, 8]
    assert found.box.tolist() == [[0, 0, 4, 2], [0, 2, 4, 4]]
    colour = found.histogram[:, :75].reshape(2, 3, 25)
    assert np.allclose(colour[:, :2, 0], 1 / 3)
    assert np.allclose([colour[0, 2, 0], colour[1, 2, 24]], 1 / 3)
    assert np.allclose(found.histogram[:, 75:].sum(axis=1), 1)
    # Colour 2/3 and, the picture being a mirror image, equal texture; size 1 - 16/16; fill: the box holds just the two.
    assert np.isclose(similarity(found, np.array([0]), np.array([1]), 16)[0], 2 / 3 + 1 + 0 + 1)


def brute_force_merge(image, regions, max_regions):
    """Measure everything afresh after each merge; ids grow as in the quick version, so that ties fall alike."""
    ids = regions.copy()
    while len(np.unique(ids)) > max_regions:
        dense = relabel(ids)
        known = np.unique(ids)
        pairs = adjacent_pairs(dense)
        scores = similarity(describe(image, dense), *pairs.T, ids.size)
        i, j = known[pairs[np.argmax(scores)]]
        ids[(ids == i) | (ids == j)] = max(known.max(), regions.max()) + 1
    return relabel(ids)


def test_merging_equals_brute_force():
    image = blobs(40, 40, seed=2)
    y, x = np.mgrid[:40, :40]
    regions = (y // 5) * 8 + x // 5
    for left in (40, 12, 3):
        ours, expected = merge_regions(image, regions, left), brute_force_merge(image, regions, left)
        assert len(np.unique(np.stack([ours, expected]).reshape(2, -1), axis=1).T) == left  # one to one
        assert ours.max() + 1 == left


def test_relabel():
    assert relabel(np.array([[5, 9], [5, 2]])).tolist() == [[1, 2], [1, 0]]
    assert relabel(np.array([[-3, 70000]], np.int64)).dtype == np.int32


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_three_channel_ids_of_the_release(tmp_path, order):
    ids = np.array([[0, 255, 256], [65536, 65536 + 511, 256]])
    channels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(channels[..., order])).save(tmp_path / "a.png")
    labels = read_superpixels(tmp_path / "a.png")
    assert labels.dtype == np.int32
    if order == (0, 1, 2):
        assert labels.tolist() == [[0, 1, 2], [3, 4, 2]]
    else:  # read in the other order: other numbers, the same superpixels
        assert sorted(set(labels.ravel())) == [0, 1, 2, 3, 4] and labels[0, 2] == labels[1, 2]


def test_maps_of_ids_with_gaps(tmp_path):
    ids = np.array([[7, 7, 40000], [300, 300, 40000]])
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", ids)
    for name in ("a.png", "a.npy"):
        assert read_superpixels(tmp_path / name).tolist() == [[0, 0, 2], [1, 1, 2]]


def test_files_that_are_no_superpixels(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.jpg")
    Image.fromarray(photo).save(tmp_path / "photo.png")
    np.save(tmp_path / "float.npy", np.zeros((4, 4)))
    np.save(tmp_path / "cube.npy", np.zeros((4, 4, 4), int))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    for name in ("photo.jpg", "photo.png", "float.npy", "cube.npy", "text.png", "text.npy", "empty.npy", "absent.png"):
        with pytest.raises(UserError, match=name):
            read_superpixels(tmp_path / name)


@pytest.fixture
def photos(tmp_path):
    paths = {}
    for k in range(4):
        paths[f"p{k}"] = tmp_path / "JPEGImages" / f"p{k}.jpg"
        paths[f"p{k}"].parent.mkdir(exist_ok=True)
        Image.fromarray(blobs(48, 64, seed=k)).save(paths[f"p{k}"])
    return paths


def test_written_superpixels_are_read_back_and_not_written_again(photos, tmp_path):
    out = tmp_path / "superpixels"
    first = dict(list(photos.items())[:2])
    assert segment_files(first, out, max_regions=20, workers=1, progress=False) == ["p0", "p1"]
    for name, path in first.items():
        with Image.open(out / f"{name}.png") as file:
            assert file.mode == "L"
        expected = segment(np.asarray(Image.open(path)), max_regions=20)
        assert np.array_equal(read_superpixels(out / f"{name}.png"), expected)
    assert read_json(out / "superpixels.json")["max_regions"] == 20
    before = (out / "p0.png").stat().st_mtime_ns
    assert segment_files(photos, out, max_regions=20, workers=1, progress=False) == ["p2", "p3"]
    assert (out / "p0.png").stat().st_mtime_ns == before
    assert segment_files(photos, out, max_regions=20, workers=1, progress=False) == []


def test_other_settings_and_foreign_folders_are_refused(photos, tmp_path):
    segment_files(photos, tmp_path / "ours", max_regions=20, workers=1, progress=False)
    with pytest.raises(UserError, match="other settings"):
        segment_files(photos, tmp_path / "ours", max_regions=30, workers=1, progress=False)
    (tmp_path / "theirs").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "theirs" / "p0.png")
    with pytest.raises(UserError, match="no superpixels.json"):
        segment_files(photos, tmp_path / "theirs", workers=1, progress=False)
    for wrong in ({"max_regions": 257}, {"max_regions": 0}, {"workers": 0}):
        with pytest.raises(UserError):
            segment_files(photos, tmp_path / "new", **wrong)


def test_a_truncated_image_is_named_and_the_others_are_written(photos, tmp_path):
    whole = photos["p1"].read_bytes()
    photos["p1"].write_bytes(whole[: len(whole) // 2])
    photos["p9"] = tmp_path / "absent.jpg"
    with pytest.raises(UserError, match="2 of 5 images") as error:
        segment_files(photos, tmp_path / "out", workers=1, progress=False)
    assert "p1.jpg cannot be read" in str(error.value) and "absent.jpg is missing" in str(error.value)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p0.png", "p2.png", "p3.png", "superpixels.json"]
    photos["p1"].write_bytes(whole)
    del photos["p9"]
    assert segment_files(photos, tmp_path / "out", workers=1, progress=False) == ["p1"]


def test_grey_images_are_read_as_rgb(tmp_path):
    Image.fromarray(blobs(48, 48)[..., 0]).save(tmp_path / "grey.png")
    segment_files({"grey": tmp_path / "grey.png"}, tmp_path / "out", workers=1, progress=False)
    assert_superpixels(read_superpixels(tmp_path / "out" / "grey.png"), (48, 48), 64)


@pytest.mark.slow
def test_processes_write_the_same_files_and_show_progress(photos, tmp_path, capsys):
    photos["p2"].write_bytes(photos["p2"].read_bytes()[:300])
    results = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        with pytest.raises(UserError, match="p2.jpg"):
            segment_files(photos, out, workers=workers)
        assert "4/4" in capsys.readouterr().err
        results.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert len(results[0]) == 4 and results[0] == results[1]


@pytest.mark.slow
def test_an_unguarded_script_is_told_so(photos, tmp_path):
    script = tmp_path / "script.py"
    paths = {name: str(path) for name, path in photos.items()}
    script.write_text(
        "from sscnb.errors import UserError\nfrom sscnb.method.superpixels import segment_files\n"
        f"paths = {paths!r}\n"
        f"try:\n    segment_files(paths, {str(tmp_path / 'out')!r}, workers=2, progress=False)\n"
        "except UserError as error:\n    print('told:', error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, env=environment)
    assert "told: a worker process died" in run.stdout and "__main__" in run.stdout
