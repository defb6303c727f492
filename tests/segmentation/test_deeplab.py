"""DeepLabV2: shapes, the pyramid against a plain loop, batch norm, the loss by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from sscnb.networks.backbones import build_backbone
from sscnb.segmentation.deeplab import (
    DeepLabV2,
    SegmentationObjective,
    build_deeplab,
    build_optimizer,
    pixel_loss,
    to_pixels,
)
from sscnb.settings import SegmentationSettings

LITE = SegmentationSettings(backbone="efficientnet_lite0", weights="random", rates=(1, 2), batch_norm="frozen")


# --- the network ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50", "vgg16"])
@pytest.mark.parametrize("stride", [8, 16])
def test_shapes_for_odd_sizes(name, stride):
    net = DeepLabV2(build_backbone(name, output_stride=stride, weights="random", dilate=True), 5).eval()
    assert net.stride == stride
    for height, width in ((33, 47), (16, 64), (1, 30)):
        with torch.no_grad():
            logits = net(torch.randn(2, 3, height, width))
        assert logits.shape == (2, 5, math.ceil(height / stride), math.ceil(width / stride))
        assert to_pixels(logits, (height, width), stride).shape == (2, 5, height, width)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet101", "vgg19"])
def test_shapes_for_odd_sizes_of_the_large(name):
    test_shapes_for_odd_sizes(name, 16)


def test_the_pyramid_by_hand():
    torch.manual_seed(0)
    net = build_deeplab(LITE, 3).eval()
    images = torch.randn(1, 3, 80, 64)
    with torch.no_grad():
        features = net.backbone(images)[-1][0]  # K,5,4
        logits = net(images)[0]
    rows, columns = features.shape[1:]
    for y, x in ((0, 0), (2, 1), (4, 3)):
        expected = torch.zeros(3)
        for rate, branch in zip((1, 2), net.branches, strict=True):
            expected += branch.bias
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    at = (y + i * rate, x + j * rate)
                    if 0 <= at[0] < rows and 0 <= at[1] < columns:
                        expected += branch.weight[:, :, i + 1, j + 1] @ features[:, at[0], at[1]]
        assert torch.allclose(logits[:, y, x], expected, atol=1e-4)


def test_padding_repeats_the_border():
    net = build_deeplab(LITE, 3).eval()
    images = torch.randn(1, 3, 30, 48)
    whole = torch.cat([images, images[:, :, -1:].expand(-1, -1, 2, -1)], 2)
    with torch.no_grad():
        assert torch.equal(net(images), net(whole))


def test_logits_lie_on_their_pixels():
    logits = torch.arange(4.0).view(1, 1, 1, 4)
    full = to_pixels(logits, (3, 13), 4)[0, 0]
    # A cell's own value stands in its middle, 1.5 pixels from its edge.
    assert full.shape == (3, 13) and torch.allclose(full[0, 4:9], (torch.arange(4, 9) - 1.5) / 4)
    assert full[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize(("batch_norm", "moves"), [("frozen", False), ("batch", True)])
def test_batch_norm_statistics(batch_norm, moves):
    torch.manual_seed(0)
    net = build_deeplab(replace(LITE, batch_norm=batch_norm), 3).train()
    before = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
    net(torch.randn(2, 3, 64, 64))
    assert before and all(torch.equal(v, net.state_dict()[k]) is not moves for k, v in before.items())


# --- the loss ------------------------------------------------------------------------------------------------------


def test_the_loss_by_hand():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 1] = torch.tensor([[math.log(3), 0, 0, 5]])
    target = torch.tensor([[[1, 0, 1, 255]]])
    expected = -(math.log(3 / 4) + 2 * math.log(1 / 2)) / 3
    assert pixel_loss(logits, target).item() == pytest.approx(expected)
    weight = torch.tensor([[[2.0, 1, 1, 7]]])
    weighted = -(2 * math.log(3 / 4) + 2 * math.log(1 / 2)) / 3
    assert pixel_loss(logits, target, weight).item() == pytest.approx(weighted)
    assert pixel_loss(logits, target, everything=True).item() == pytest.approx(expected * 3 / 4)
    assert pixel_loss(logits, target, weight, everything=True).item() == pytest.approx(weighted * 3 / 4)


def test_nothing_but_ignored_pixels():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = pixel_loss(logits, torch.full((2, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_ignored_and_untrusted_pixels_have_no_gradient():
    torch.manual_seed(0)
    objective = SegmentationObjective(build_deeplab(LITE, 3)).train()
    batch = {"image": torch.randn(1, 3, 40, 40), "target": torch.randint(3, (1, 40, 40))}
    marked = batch["target"].clone()
    marked[:, :20], marked[:, 20:, :20] = 255, 254
    losses = objective(batch | {"target": marked}, 0)
    assert set(losses) == {"loss", "segmentation"} and losses["loss"] == losses["segmentation"]
    logits = to_pixels(objective.net(batch["image"]), (40, 40), 16)
    alone = F.cross_entropy(logits[:, :, 20:, 20:], batch["target"][:, 20:, 20:])
    assert losses["loss"].item() == pytest.approx(alone.item(), rel=1e-5)


def test_rates_of_the_optimiser():
    net = build_deeplab(LITE, 3)
    assert [group["lr"] for group in build_optimizer([net], LITE).param_groups] == [0.01, 0.01]
    backbone, pyramid = build_optimizer([net], replace(LITE, head_factor=10.0)).param_groups
    assert (backbone["lr"], pyramid["lr"]) == (0.01, pytest.approx(0.1))
    assert (pyramid["momentum"], pyramid["weight_decay"]) == (0.9, 1e-4)
    assert len(pyramid["params"]) == 4 and len(backbone["params"]) + 4 == len(list(net.parameters()))


def test_training_fits_a_picture():
    torch.manual_seed(0)
    objective = SegmentationObjective(build_deeplab(LITE, 2))
    batch = {"image": torch.zeros(1, 3, 32, 32), "target": torch.zeros(1, 32, 32, dtype=torch.long)}
    batch["image"][..., 16:], batch["target"][..., 16:] = 2, 1
    optimizer = build_optimizer([objective.net], replace(LITE, head_factor=10.0))
    first = objective(batch, 0)["loss"].item()
    for _ in range(8):
        optimizer.zero_grad()
        loss = objective(batch, 0)["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
