"""CAMs of several scales and the flip pair: the maps, and the activations at full size and on a grid."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sscnb.method.cam import CAMNet
from sscnb.method.multi_scale import full_activation, grid_activation, scale_maps


class Stage(nn.Module):
    """A backbone of one convolution with stride 2, lopsided, so that it sees left and right differently."""

    channels = (4, 4, 4, 4, 4)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images, tap=None):
        return [self.conv(images)] * 5


@pytest.fixture
def net():
    return CAMNet(Stage(), num_classes=5).eval()


def pictures(height, width, batch=2, seed=1):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def positive(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(12, 18), (13, 9), (7, 20)])
def test_one_scale_is_the_direct_computation(net, height, width):
    images = pictures(height, width)
    with torch.no_grad():
        logits, features = net(images)
    found_logits, (found,) = scale_maps(net, [images], flip=False)
    assert torch.equal(found, F.relu(features)) and torch.equal(found_logits, logits)


def test_flip_pair_by_hand(net):
    images = pictures(12, 18)
    logits, (found,) = scale_maps(net, [images])
    with torch.no_grad():
        plain, mirrored = net(images), net(images.flip(-1))
    torch.testing.assert_close(found, F.relu(plain[1]) + F.relu(mirrored[1]).flip(-1))  # ReLU before the sum
    torch.testing.assert_close(logits, (plain[0] + mirrored[0]) / 2)
    _, (turned,) = scale_maps(net, [images.flip(-1)])
    torch.testing.assert_close(turned, found.flip(-1))
    _, (lopsided,) = scale_maps(net, [images.flip(-1)], flip=False)
    assert not torch.allclose(lopsided, scale_maps(net, [images], flip=False)[1][0].flip(-1), atol=1e-3)


def test_each_scale_and_each_image_is_on_its_own(net):
    first, second = pictures(12, 18), pictures(6, 9, seed=2)
    logits, maps = scale_maps(net, [first, second])
    assert [tuple(m.shape) for m in maps] == [(2, 5, 6, 9), (2, 5, 3, 5)] and not maps[0].requires_grad
    for images, of_scale in zip((first, second), maps, strict=True):
        torch.testing.assert_close(scale_maps(net, [images])[1][0], of_scale)
        torch.testing.assert_close(scale_maps(net, [images[1:]])[1][0], of_scale[1:])
    torch.testing.assert_close(scale_maps(net, [first])[0], logits)  # of the first scale


def interpolate(row, cells, length):
    """Bilinear interpolation of `cells` values to `length`, corners not aligned, by its definition."""
    at = ((np.arange(length) + 0.5) * cells / length - 0.5).clip(0, cells - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, cells - 1)
    return row[low] * (1 - (at - low)) + row[high] * (at - low)


def brute_force(map_, height, width):
    rows = np.stack([interpolate(column, len(column), height) for column in map_.T], axis=1)
    return np.stack([interpolate(row, len(row), width) for row in rows])


@pytest.mark.parametrize("size", [(20, 33), (16, 32), (5, 17)])
def test_full_size_is_padded_cropped_summed_and_normalised_in_this_order(size):
    padded = [-(-side // 16) * 16 for side in size]
    maps = [positive(2, *(side // 16 for side in padded)), positive(2, 3, 4, seed=1)]
    expected = []
    for k in range(2):
        total = sum(brute_force(m[k].double().numpy(), *padded) for m in maps)[: size[0], : size[1]]
        expected.append(total / (total.max() + 1e-5))
    found = full_activation(maps, size)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert found.shape == (2, *size)


def test_cells_lie_where_the_network_saw_them():
    """20 pixels are padded to 32, so that the second of two cells begins at pixel 16 and not at pixel 10."""
    found = full_activation([torch.tensor([[[0.0, 1.0]]])], (16, 20))[0, 0]
    # Cell centres are at 8 and 24: between them pixel p has (p + .5 - 8) / 16. The last pixel is the maximum.
    expected = (torch.arange(20) + 0.5 - 8).clamp(min=0) / 16
    torch.testing.assert_close(found, expected / (expected[-1] + 1e-5))
    stretched = F.interpolate(torch.tensor([[[[0.0, 1.0]]]]), size=(16, 20), mode="bilinear")[0, 0, 0]
    assert (stretched > 0.5).sum() > 9 > (found > 0.5 + 1e-4).sum() > 5


def test_another_stride_and_another_size():
    maps = [positive(3, 2, 3)]
    whole = brute_force(maps[0][1].double().numpy(), 16, 24)[:15, :20]
    smaller = brute_force(whole, 9, 10)
    found = full_activation(maps, (15, 20), stride=8, size=(9, 10))
    np.testing.assert_allclose(found[1], smaller / (smaller.max() + 1e-5), atol=1e-6)
    found = full_activation(maps, (15, 20), stride=8)[1]
    np.testing.assert_allclose(found, whole / (whole.max() + 1e-5), atol=1e-6)


def test_the_grid_covers_the_image_without_padding():
    maps = [positive(2, 2, 3), positive(2, 4, 5, seed=1)]
    total = sum(brute_force(m[0].double().numpy(), 5, 9) for m in maps)
    np.testing.assert_allclose(grid_activation(maps, (5, 9))[0], total / (total.max() + 1e-5), atol=1e-6)


def test_an_image_without_classes_has_no_activation():
    maps = [torch.zeros(0, 2, 3), torch.zeros(0, 1, 2)]
    assert full_activation(maps, (20, 33)).shape == (0, 20, 33)
    assert full_activation(maps, (20, 33), size=(7, 8)).shape == (0, 7, 8)
    assert grid_activation(maps, (5, 9)).shape == (0, 5, 9)
