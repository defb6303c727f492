"""The data of the page to try: a seed cut from the packed picture is the seed that the package cuts."""

import base64
import io

import numpy as np
from PIL import Image

from sscnb.evaluation.thresholds import seed_from_activation
from sscnb.evidence.explorer import SIDE, encode, write_explorer
from sscnb.files import read_json
from sscnb.stages.run import open_run


def test_packed_activation_gives_the_seed_at_any_threshold():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (2, 12, 9))
    levels[1] += levels[1] == levels[0]  # no ties
    scores, classes = np.minimum(levels, 255).astype(np.float32) / 255, np.array([3, 7])
    truth = rng.integers(0, 8, (12, 9)).astype(np.uint8)
    packed = encode(scores, classes, truth)
    for threshold in (0, 0.2, 0.5, 0.99, 1):
        seed = np.where(packed[..., 0] / 255 > threshold, packed[..., 1], 0)
        np.testing.assert_array_equal(seed, seed_from_activation(scores, classes, threshold))
    np.testing.assert_array_equal(packed[..., 2], truth)


def test_an_image_without_classes_has_no_activation():
    packed = encode(np.zeros((0, 4, 5), np.float32), np.zeros(0, int), np.full((4, 5), 2, np.uint8))
    assert packed.shape == (4, 5, 3) and not packed[..., :2].any() and (packed[..., 2] == 2).all()


def test_images_without_masks_are_shown_without_curves(tmp_path, photographs):
    for mask in (photographs / "SegmentationClass").iterdir():
        mask.unlink()
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(photographs))
    run.folder.mkdir(exist_ok=True)
    run.dataset_folder.symlink_to(photographs)
    folder = run.cam_folder("baseline") / "cams"
    folder.mkdir(parents=True)
    where = {"grids": np.array([[3, 4]]), "size": np.array([48, 64]), "stride": np.array(16)}
    np.savez(folder / "000.npz", classes=np.array([1], np.int16), maps=np.full((1, 12), 0.5, np.float32), **where)
    write_explorer(run, ["000"], ["baseline"])
    data = read_json(run.folder / "figures/explorer.json")
    assert data["curves"] == {} and not data["masks"]
    (shown,) = data["images"]
    assert shown["title"] == "000: disc"
    with Image.open(io.BytesIO(base64.b64decode(shown["maps"]["baseline"].split(",")[1]))) as picture:
        pixels = np.asarray(picture)
    assert max(pixels.shape[:2]) <= SIDE and (pixels == [254, 1, 255]).all()
