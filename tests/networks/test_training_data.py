"""Training crops depend on seed, epoch and image alone, in whichever worker they are made."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from sscnb.datasets import open_dataset
from sscnb.datasets.palette import save_mask
from sscnb.errors import UserError
from sscnb.networks.training_data import UNTRUSTED, EpochSampler, TrainingImages

IDS = ["000", "001", "002", "003"]


def images(root, seed=0, **options) -> TrainingImages:
    return TrainingImages(open_dataset(root), IDS, resize_range=(50, 80), crop=56, seed=seed, **options)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items()
    )


@pytest.fixture
def superpixels(photographs, tmp_path):
    """A folder of maps whose id is the column."""
    folder = tmp_path / "superpixels"
    folder.mkdir()
    for image_id in IDS:
        height, width = np.array(Image.open(photographs / f"JPEGImages/{image_id}.jpg")).shape[:2]
        columns = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
        Image.fromarray(columns).save(folder / f"{image_id}.png")
    return folder


def test_an_item(photographs):
    data = images(photographs)
    item = data[0, 2]
    assert len(data) == 4 and item["id"] == "002" and set(item) == {"id", "image", "labels"}
    assert item["image"].shape == (3, 56, 56) and item["image"].dtype == torch.float32
    assert item["labels"].tolist() == [1, 1] and item["labels"].dtype == torch.float32


def test_an_item_with_superpixels_and_target(photographs, superpixels):
    data = images(photographs, superpixel_folder=superpixels, mask_folder=photographs / "SegmentationClass")
    padded = 0
    for epoch in range(8):
        item = data[epoch, 0]
        assert item["superpixels"].shape == item["target"].shape == (56, 56)
        assert item["superpixels"].dtype == item["target"].dtype == torch.int64
        padding = item["target"] == 255  # the mask itself has none
        padded += padding.any().item()
        assert torch.equal(padding, (item["image"] == 0).all(dim=0))
        assert item["superpixels"][padding].unique().numel() <= 1  # one superpixel, which the image has not
        assert not torch.isin(item["superpixels"][~padding], item["superpixels"][padding]).any()
        assert set(item["target"][~padding].unique().tolist()) == {0, 1}
    assert 0 < padded < 8


def test_training_reads_no_masks(photographs):
    before = images(photographs)[0, 0]
    for path in (photographs / "SegmentationClass").iterdir():
        path.write_bytes(b"broken")
    assert equal(images(photographs)[0, 0], before)


def test_items_depend_on_seed_epoch_and_index_alone(photographs):
    item = images(photographs)[3, 1]
    data = images(photographs)
    for _ in range(5):
        data[0, 0]
    torch.manual_seed(123)
    np.random.seed(123)
    assert equal(data[3, 1], item)
    assert not torch.equal(data[4, 1]["image"], item["image"])
    assert not torch.equal(images(photographs, seed=1)[3, 1]["image"], item["image"])


def test_workers_make_the_same_batches(photographs, superpixels):
    def batches(workers):
        sampler = EpochSampler(len(IDS), seed=5)
        data = images(photographs, superpixel_folder=superpixels)
        loader = DataLoader(data, batch_size=2, sampler=sampler, num_workers=workers)
        found = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found += list(loader)
        return found

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) == 4
    assert all(equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_maps_of_another_size_are_refused(photographs, superpixels):
    Image.fromarray(np.zeros((64, 48), np.uint8)).save(superpixels / "000.png")  # 48 x 64, lying on its side
    with pytest.raises(UserError) as caught:
        images(photographs, superpixel_folder=superpixels)[0, 0]
    assert str(superpixels / "000.png") in str(caught.value)
    assert "(64, 48)" in str(caught.value) and "(48, 64)" in str(caught.value)


def test_sampler_orders_by_seed_and_epoch_alone():
    def order(seed, epoch, earlier=()):
        sampler = EpochSampler(50, seed)
        for e in earlier:
            sampler.set_epoch(e)
            list(sampler)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 2) == order(0, 2, earlier=(0, 1)) == order(0, 2, earlier=(7,))
    assert {epoch for epoch, _ in order(0, 2)} == {2}
    assert sorted(index for _, index in order(0, 2)) == list(range(50))
    indices = [tuple(index for _, index in order(seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(indices)) == 9
    assert len(EpochSampler(50, 0)) == 50


def test_pixels_without_trust_are_marked_in_the_target(photographs, tmp_path):
    rng = np.random.default_rng(0)
    for n, image_id in enumerate(IDS):
        height = 48 + 8 * (n % 3)
        mask = rng.choice([0, 1, 2, 255], (height, 64)).astype(np.uint8)
        save_mask(tmp_path / f"masks/{image_id}.png", mask)
        save_mask(tmp_path / f"trust/{image_id}.png", np.where(np.arange(64) < 32, 0, 255) + np.zeros((height, 1), int))
    folders = {"mask_folder": tmp_path / "masks"}
    plain = images(photographs, **folders)[3, 1]["target"]
    marked = images(photographs, confidence_folder=tmp_path / "trust", **folders)[3, 1]["target"]
    assert torch.equal(marked == 255, plain == 255)
    changed = marked == UNTRUSTED
    assert changed.any() and torch.equal(marked[~changed], plain[~changed]) and (~changed & (plain < 3)).any()


def test_crops_by_area_change_their_colours_and_nothing_else(photographs):
    options = {"area_range": (0.5, 0.75), "crop": 56, "seed": 0, "mask_folder": photographs / "SegmentationClass"}
    plain, coloured = (TrainingImages(open_dataset(photographs), IDS, color=c, **options) for c in (False, True))
    changed = 0
    for epoch in range(6):
        one, other = plain[epoch, 1], coloured[epoch, 1]
        assert one["image"].shape == (3, 56, 56) and torch.equal(one["target"], other["target"])
        assert one["target"].max() < 255  # nothing is padded
        changed += not torch.equal(one["image"], other["image"])
    assert changed >= 4
    assert equal(coloured[2, 1], TrainingImages(open_dataset(photographs), IDS, color=True, **options)[2, 1])


def test_padding_keeps_the_mean_colour(photographs):
    coloured = images(photographs, color=True, mask_folder=photographs / "SegmentationClass")
    for epoch in range(8):
        item = coloured[epoch, 0]
        assert torch.equal(item["target"] == 255, (item["image"] == 0).all(dim=0))
