"""What chapters 3 and 4 look at: images as a decoder takes them, what it rebuilds, and what modulation asks for."""

import numpy as np
import pytest
import torch

from sscnb.method.modulation import self_modulate
from sscnb.method.objective import build_objective
from sscnb.method.superpixels import segment_files
from sscnb.networks.tensors import to_image, to_tensor
from sscnb.settings.config import load_config
from sscnb.settings.variants import find_variant
from sscnb.stages.modulation import lift, modulate, modulation_lift, overlap
from sscnb.stages.reconstruction import class_contribution, decoder_input, rebuild_image
from sscnb.stages.run import open_run

SMALL = {"cam.crop": 64, "cam.weights": "random", "reconstruction.loss_weights": "random", "reconstruction.width": 8}


@pytest.fixture
def run(tmp_path, photographs):
    """A run on photographs with their superpixels, without any training."""
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(photographs), overrides=SMALL)
    run.folder.mkdir(exist_ok=True)
    run.dataset_folder.symlink_to(photographs)
    paths = {i: run.dataset().image_path(i) for i in ("000", "002")}
    segment_files(paths, run.folder / "superpixels", workers=1, progress=False)
    return run


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    parts, config = find_variant("drs+cdr", load_config("folder", SMALL))
    return build_objective(config, parts, 2, trained=True).eval()


def test_a_decoder_gets_whole_cells_of_16_pixels(run):
    images = decoder_input(run, "000")
    assert images.shape == (1, 3, 48, 64)
    torch.testing.assert_close(images[0], to_tensor(run.dataset().image("000")))
    assert decoder_input(run, "001").shape == (1, 3, 48, 64)  # 56 x 64 loses half a cell


def test_the_image_comes_first_and_each_networks_own_after_it(run, network):
    pictures = rebuild_image(run, [network, network], "000")
    images = decoder_input(run, "000")
    assert np.array_equal(pictures[0], run.dataset().image("000"))
    with torch.no_grad():
        expected = to_image(network.rebuild(images)[0])
    assert all(np.array_equal(picture, expected) for picture in pictures[1:]) and len(pictures) == 3


def test_what_a_class_adds_is_what_its_channel_changes(run, network):
    image, whole, rest, change = class_contribution(run, network, "000")
    images = decoder_input(run, "000")
    (present,) = np.flatnonzero(run.dataset().labels("000"))
    with torch.no_grad():
        _, features = network.net(images)
        features[:, present] = 0
        # The decoder's image is smaller, and each of its pixels stands for a square of the whole one's.
        small, all_of_it = network.decoder(features)[0], network.rebuild(images)[0]
        shrink = run.config.reconstruction.shrink
        without = small.repeat_interleave(shrink, dim=1).repeat_interleave(shrink, dim=2)
    assert np.array_equal(image, run.dataset().image("000"))
    assert np.array_equal(whole, to_image(all_of_it)) and np.array_equal(rest, to_image(without))
    difference = (all_of_it - without).abs().mean(dim=0)
    np.testing.assert_allclose(change, (difference / difference.max()).numpy(), atol=1e-6)
    assert change.max() == 1


def test_modulation_of_the_first_class_at_half_the_crops_size(run, network):
    sample, maps = modulate(run, network.net, "002")  # 64 x 64, shows both classes
    assert max(sample.image.shape[:2]) == 64 == max(sample.superpixels.shape)
    with torch.no_grad():
        features = network.net(to_tensor(sample.image)[None])[1]
    ids = torch.from_numpy(sample.superpixels.astype(np.int64))[None]
    settings = run.config.modulation
    first = torch.tensor([[1.0, 0.0]]) if run.dataset().labels("002")[0] else torch.tensor([[0.0, 1.0]])
    expected = self_modulate(features, ids, first, threshold=settings.threshold, erosion=settings.erosion)
    for found, wanted in zip(maps, expected, strict=True):
        assert found.shape == tuple(side // 2 for side in sample.superpixels.shape)
        np.testing.assert_allclose(found, wanted[0].float().numpy(), atol=1e-6)


def test_lift_counts_every_image_the_same():
    small = [np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]), np.ones((1, 2)), np.array([[0.5, 1.0]])]
    large = [np.zeros((2, 2)), np.full((2, 2), 0.25), np.zeros((2, 2)), np.full((2, 2), 0.25)]
    assert lift([small, large], threshold=0.25) == {
        "activation": {"mean": 0.25, "above": 0.25},
        "mean of regions": {"mean": 0.375, "above": 0.5},
        "target": {"mean": 0.5, "above": 0.5},
    }


def test_overlap_says_which_part_fits_the_object():
    activation = np.array([[0.9, 0.1, 0.1, 0.0]])  # half of the object is missing
    consistent = np.array([[0.6, 0.6, 0.0, 0.6]])  # all of the object, and a pixel beside it
    target = np.array([[0.9, 0.6, 0.0, 0.15]])  # from .15 on all of the object and nothing beside it
    maps = (activation, consistent, np.ones((1, 4)), target)
    found = overlap([maps], [np.array([[1, 1, 255, 0]], np.uint8)], threshold=0.125)
    assert found["activation"] == {"IoU": 0.5, "best IoU": 1.0, "over": 0.0, "under": 0.5}
    assert found["mean of regions"] == {"IoU": 2 / 3, "best IoU": 2 / 3, "over": 1.0, "under": 0.0}
    assert found["target"] == {"IoU": 2 / 3, "best IoU": 1.0, "over": 1.0, "under": 0.0}


def test_the_lift_of_a_run_is_that_of_its_images(run, network):
    found = modulation_lift(run, network.net, ["000", "002"])
    both = [modulate(run, network.net, i) for i in ("000", "002")]
    maps, threshold = [maps for _, maps in both], run.config.inference.threshold
    plain = lift(maps, threshold)
    assert {name: {kind: values[kind] for kind in ("mean", "above")} for name, values in found.items()} == plain
    assert found["target"]["mean"] >= found["mean of regions"]["mean"]
    shown = []
    for image_id, (sample, parts) in zip(("000", "002"), both, strict=True):
        half = sample.mask[::2, ::2][: parts[0].shape[0], : parts[0].shape[1]]
        index = 1 + int(run.dataset().labels(image_id).argmax())
        shown.append(np.where(half == 255, 255, half == index))
    assert any((part == 1).any() for part in shown)
    for name, values in overlap(maps, shown, threshold).items():
        assert values.items() <= found[name].items()


def test_the_lift_of_images_without_masks_has_no_overlap(run, network, monkeypatch):
    monkeypatch.setattr(type(run.dataset()), "mask_path", lambda self, i: self.root / "none.png")
    assert set(modulation_lift(run, network.net, ["000"])["target"]) == {"mean", "above"}
