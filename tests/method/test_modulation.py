import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sscnb.errors import UserError
from sscnb.method.cam import class_activation
from sscnb.method.modulation import alignment_loss, erode, region_mean, self_modulate


def seeded(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def ids(*shape, high, seed=0):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


def blocks(b, height, width, cell):
    """Superpixels that are squares, numbered alike in each image."""
    rows, columns = torch.arange(height) // cell, torch.arange(width) // cell
    return (rows[:, None] * (width // cell + 1) + columns).expand(b, -1, -1)


def mean_by_loop(features, superpixels):
    result = torch.empty_like(features)
    for image in range(len(features)):
        for k in superpixels[image].unique():
            inside = superpixels[image] == k
            for channel in range(features.shape[1]):
                result[image, channel][inside] = features[image, channel][inside].mean()
    return result


@pytest.mark.parametrize("high", [1, 4, 1000])  # one region; a few; ids with gaps, many regions of a single pixel
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_region_mean_equals_a_loop(high, dtype):
    superpixels = ids(3, 6, 7, high=min(high, 256) if dtype == torch.uint8 else high).to(dtype)
    features = seeded(3, 2, 6, 7)
    assert torch.allclose(region_mean(features, superpixels), mean_by_loop(features, superpixels), atol=1e-12)


def test_region_mean_is_idempotent_and_keeps_the_sum():
    features, superpixels = seeded(2, 3, 8, 8), ids(2, 8, 8, high=5)
    once = region_mean(features, superpixels)
    assert torch.allclose(region_mean(once, superpixels), once, atol=1e-12)
    assert torch.allclose(once.sum((2, 3)), features.sum((2, 3)), atol=1e-12)


def test_region_mean_of_non_contiguous_features_and_gradient():
    features = seeded(2, 5, 4, 3).permute(0, 3, 1, 2).requires_grad_()
    superpixels = ids(2, 5, 4, high=4)
    assert torch.autograd.gradcheck(lambda x: region_mean(x, superpixels), (features,))


def test_region_mean_sums_half_precision_in_float32():
    features = torch.full((1, 1, 64, 64), 0.1, dtype=torch.bfloat16)  # a running bf16 sum would stop growing at 32
    mean = region_mean(features, torch.zeros(1, 64, 64, dtype=torch.long))
    assert mean.dtype == torch.bfloat16 and torch.equal(mean, features)


def test_region_mean_refuses_what_does_not_fit():
    with pytest.raises(UserError, match="expected"):
        region_mean(seeded(1, 2, 4, 4), ids(1, 4, 5, high=3))
    with pytest.raises(UserError, match="-1"):
        region_mean(seeded(1, 2, 4, 4), ids(1, 4, 4, high=3) - 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 12, 40])
def test_erode_equals_opencv(size):
    rng = np.random.default_rng(size)
    kernel = np.ones((size, size), np.uint8)
    for share in (0.02, 0.2):
        mask = (rng.random((2, 3, 33, 29)) > share).astype(np.uint8)
        mask[0, 0] = 1  # whole: the border must not erode
        mask[1, 1] = 0
        mask[1, 2] = 0
        mask[1, 2, :20, 5:] = 1  # touches three borders
        expected = np.stack([[cv2.erode(channel, kernel) for channel in image] for image in mask])
        assert np.array_equal(erode(torch.from_numpy(mask).bool(), size).numpy(), expected.astype(bool))
        assert np.array_equal(erode(torch.from_numpy(mask).float(), size).numpy(), expected)


def test_erode_refuses_no_kernel():
    with pytest.raises(UserError, match="size 0"):
        erode(torch.ones(1, 1, 4, 4), 0)


def dense_alignment(features, superpixels, labels, threshold, erosion, select):
    """The straightforward version: every class up-sampled and masked, one-hot region mean, OpenCV's erosion."""
    half = (superpixels.shape[1] // 2, superpixels.shape[2] // 2)
    regions = F.interpolate(superpixels[:, None].double(), size=half, mode="nearest")[:, 0].long()
    up = F.interpolate(features, size=half, mode="bilinear", align_corners=False)
    one_hot = F.one_hot(regions).to(up.dtype)  # B,H,W,S
    means = torch.einsum("bchw,bhws->bcs", up, one_hot) / one_hot.sum((1, 2)).clamp(min=1)[:, None]
    mean = torch.einsum("bcs,bhws->bchw", means, one_hot)
    keep = labels[:, :, None, None].to(up.dtype)
    activation, consistent = ((x * keep).relu() for x in (up, mean))
    activation = activation / (activation.amax((2, 3), keepdim=True) + 1e-5)
    consistent = consistent / (consistent.amax((2, 3), keepdim=True) + 1e-5)
    target = consistent.detach()
    if select:
        high = (activation.detach() > threshold).numpy().astype(np.uint8)
        kernel = np.ones((erosion, erosion), np.uint8)
        mask = torch.from_numpy(np.stack([[cv2.erode(channel, kernel) for channel in image] for image in high]))
        target = torch.maximum(target, activation.detach() * mask)
    return ((activation - target) ** 2).sum() / (keep.sum() * half[0] * half[1])


@pytest.mark.parametrize("select", [True, False])
@pytest.mark.parametrize("erosion", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_alignment_loss_and_gradient_equal_the_dense_version(select, erosion, size):
    features = seeded(3, 4, 4, 6, seed=erosion)
    labels = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    superpixels = ids(3, *size, high=7)
    one, other = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss = alignment_loss(one, superpixels, labels, threshold=0.3, erosion=erosion, select=select)
    dense = dense_alignment(other, superpixels, labels, 0.3, erosion, select)
    assert loss.item() == pytest.approx(dense.item(), rel=1e-10) and loss.item() > 0
    loss.backward()
    dense.backward()
    assert torch.allclose(one.grad, other.grad, atol=1e-12)
    assert one.grad[0, [1, 3]].abs().max() == 0 and one.grad[2].abs().max() == 0  # absent classes get none


def test_alignment_loss_by_hand():
    features = torch.tensor([[[[4.0, 0.0], [2.0, 2.0]]]], dtype=torch.float64)  # already at half of the 4x4 crop
    superpixels = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])[None]
    # A = (1, 0; .5, .5); region means (2, 2; 2, 2), so the consistent map is 1 everywhere: (0 + 1 + .25 + .25) / 4
    loss = alignment_loss(features, superpixels, torch.ones(1, 1), select=False)
    assert loss.item() == pytest.approx(0.375, abs=1e-4)


def test_selection_keeps_a_small_peak_in_a_large_region():
    features = torch.full((1, 1, 8, 8), -1.0)
    features[0, 0, :3, :3] = 5.0
    superpixels = blocks(1, 16, 16, 16)  # one region whose mean, before ReLU, is negative
    labels = torch.ones(1, 1)
    without = self_modulate(features, superpixels, labels, select=False)
    assert without.target.max() == 0 and not without.reliable.any()
    maps = self_modulate(features, superpixels, labels, erosion=3)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:2, :2] = True  # two sides of the 3x3 peak lie on the border, which does not erode
    assert torch.equal(maps.reliable[0], expected)
    assert torch.allclose(maps.target[0], expected.float(), atol=1e-5)


def test_maps_are_in_the_order_of_the_labels_and_in_range():
    features, labels = seeded(2, 3, 4, 4), torch.tensor([[0, 1, 1], [1, 0, 0]])
    maps = self_modulate(features, blocks(2, 16, 16, 4), labels, erosion=2)
    assert all(x.shape == (3, 8, 8) for x in maps)
    for index, (image, present) in enumerate(labels.nonzero().tolist()):
        up = F.interpolate(features[image, present][None, None], size=(8, 8), mode="bilinear")[0, 0]
        assert torch.allclose(maps.activation[index], class_activation(up))
    for x in (maps.activation, maps.consistent, maps.target):
        assert 0 <= x.min() and x.max() <= 1
    assert (maps.target >= maps.consistent).all()


def test_gradcheck_with_the_target_held():
    features, superpixels = seeded(2, 2, 3, 3, seed=3).requires_grad_(), ids(2, 12, 12, high=4)
    labels = torch.tensor([[1, 1], [0, 1]])
    target = self_modulate(features, superpixels, labels, erosion=2).target

    def held(x):
        return (self_modulate(x, superpixels, labels, erosion=2).activation - target).square().mean()

    assert torch.autograd.gradcheck(held, (features,))
    (expected,) = torch.autograd.grad(held(features), features)
    (gradient,) = torch.autograd.grad(alignment_loss(features, superpixels, labels, erosion=2), features)
    assert not target.requires_grad and expected.abs().max() > 1e-3
    assert torch.allclose(gradient, expected, atol=1e-12)


def test_permuted_ids_change_nothing():
    features, labels = seeded(2, 3, 4, 4), torch.tensor([[1, 1, 0], [0, 1, 1]])
    superpixels = ids(2, 32, 32, high=9)
    new = torch.randperm(9, generator=torch.Generator().manual_seed(5)) * 3 + 2
    before = alignment_loss(features, superpixels, labels)
    assert torch.allclose(before, alignment_loss(features, new[superpixels], labels), atol=1e-14)
    assert before > 0


@pytest.mark.parametrize("size", [4, 16])
def test_no_positive_pair_gives_zero_with_gradient(size):
    features = seeded(2, 3, size, size).requires_grad_()
    loss = alignment_loss(features, ids(2, 32, 32, high=4), torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0 and torch.equal(features.grad, torch.zeros_like(features))


def test_half_precision_features_are_modulated_in_float32():
    features, superpixels = seeded(1, 2, 4, 4).bfloat16().requires_grad_(), blocks(1, 32, 32, 8)
    loss = alignment_loss(features, superpixels, torch.ones(1, 2))
    loss.backward()
    exact = alignment_loss(features.detach().float(), superpixels, torch.ones(1, 2))
    assert loss.dtype == torch.float32 and torch.equal(loss, exact) and features.grad.dtype == torch.bfloat16


def test_arguments_that_do_not_go_together():
    with pytest.raises(UserError, match="do not go together"):
        alignment_loss(seeded(2, 3, 4, 4), ids(2, 32, 32, high=4), torch.ones(2, 4))
    with pytest.raises(UserError, match="do not go together"):
        alignment_loss(seeded(2, 3, 4, 4), ids(1, 32, 32, high=4), torch.ones(2, 3))
