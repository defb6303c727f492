"""Backbones against the plain torchvision and timm networks, and their promises on strides, taps and gradients."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from sscnb.errors import UserError
from sscnb.networks.backbones import NAMES, build_backbone
from sscnb.networks.tensors import IMAGENET_MEAN, IMAGENET_STD


@pytest.fixture(autouse=True)
def one_seed():
    torch.manual_seed(0)


def photo(height=64, width=64, batch=1):
    return torch.randn(batch, 3, height, width)


def shake_batch_norm(net):
    """Give an untrained network batch-norm statistics that a wrong order or mode would not survive."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


def plain_network(name):
    """Return the library's own network and a function images -> its last feature map."""
    if name.startswith("resnet"):
        net = shake_batch_norm(torchvision.models.get_model(name, weights=None))
        body = nn.Sequential(*list(net.children())[:-2])
        return net, body
    if name.startswith("vgg"):
        with torch.device("meta"):
            net = torchvision.models.get_model(name, weights=None)
        net.features.to_empty(device="cpu")
        for parameter in net.features.parameters():
            nn.init.normal_(parameter, std=0.05)
        net.classifier = nn.Sequential()
        return net, net.features
    net = shake_batch_norm(timm.create_model("tf_efficientnet_lite0"))
    if name.endswith("_relu"):
        net.bn2.act = nn.ReLU()
    return net, net.forward_features


def on_meta(name, **choices):
    """Build a backbone whose tensors have shapes but no values: enough for sizes and for who gets a gradient."""
    with torch.device("meta"):
        return build_backbone(name, weights="random", **choices)


@pytest.fixture(scope="module")
def lite0():
    torch.manual_seed(0)
    return build_backbone("efficientnet_lite0", weights="random", detach=2)


def assert_same_up_to_rounding(found, expected):
    """Norms are folded into convolutions here, and in the libraries' networks they are not."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", NAMES)
def test_last_map_is_that_of_the_plain_network(name, tmp_path):
    net, body = plain_network(name)
    torch.save(net.state_dict(), tmp_path / "own.pth")
    backbone = build_backbone(name, output_stride=32, weights=tmp_path / "own.pth").eval()
    images = photo()
    inputs = images
    if name.startswith("efficientnet_lite0"):  # trained on (x - 127) / 128, x in 0..255
        pixels = 255 * (images * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        inputs = (pixels - 127) / 128
    with torch.no_grad():
        expected, measured = body(inputs), backbone(images)[-1]
    assert expected.std() > 0
    if name.startswith("vgg"):  # no norms
        torch.testing.assert_close(measured, expected, rtol=0, atol=0)
    else:
        assert_same_up_to_rounding(measured, expected)


def test_peaks_are_capped_at_six_or_left_free():
    capped, free = (build_backbone(name) for name in ("efficientnet_lite0", "efficientnet_lite0_relu"))
    assert capped.state_dict().keys() == free.state_dict().keys()
    images = photo(96, 96)
    with torch.no_grad():
        capped_maps, free_maps = capped(images), free(images)
    assert all(torch.equal(a, b) for a, b in zip(capped_maps[:-1], free_maps[:-1], strict=True))
    assert capped_maps[-1].max() == 6 < free_maps[-1].max()
    torch.testing.assert_close(free_maps[-1].clamp(max=6), capped_maps[-1])


@pytest.mark.parametrize("dilate", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_channels_and_strides_are_true(name, dilate):
    for output_stride in (8, 16, 32):
        backbone = on_meta(name, output_stride=output_stride, dilate=dilate)
        maps = backbone(photo(64, 96).to("meta"))
        assert backbone.strides[-1] == output_stride
        assert tuple(x.shape[1] for x in maps) == backbone.channels
        assert [x.shape[2:] for x in maps] == [(64 // s, 96 // s) for s in backbone.strides]


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "efficientnet_lite0"])
def test_sizes_that_are_no_multiple_of_the_stride(name):
    backbone = on_meta(name)
    maps = backbone(photo(49, 67).to("meta"))
    whole = (lambda n, s: n // s) if name == "vgg16" else (lambda n, s: -(-n // s))
    assert [x.shape[2:] for x in maps] == [(whole(49, s), whole(67, s)) for s in backbone.strides]


def dilate_first_blocks(firsts):
    """Give the first block of a library's stage the dilation of the stage's second."""
    for blocks in firsts:
        theirs = [[m for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1] for block in blocks]
        (rate,) = {m.dilation[0] for m in theirs[1]}
        for m in theirs[0]:
            m.dilation = (rate, rate)
            if m.padding != (0, 0):
                m.padding = tuple(rate * (size // 2) for size in m.kernel_size)


def test_dilated_resnet_is_torchvisions_but_for_the_first_blocks():
    net = shake_batch_norm(torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True]))
    dilate_first_blocks([net.layer3, net.layer4])
    backbone = build_backbone("resnet50", output_stride=8, weights="random", dilate=True).eval()
    theirs = [v for k, v in net.state_dict().items() if not k.startswith("fc.")]
    backbone.load_state_dict(dict(zip(backbone.state_dict(), theirs, strict=True)))
    images = photo()
    with torch.no_grad():
        expected = nn.Sequential(*list(net.children())[:-2])(images)
        assert_same_up_to_rounding(backbone(images)[-1], expected)


def test_dilated_lite0_is_timms_but_for_the_first_blocks():
    net = shake_batch_norm(timm.create_model("tf_efficientnet_lite0", num_classes=0, output_stride=8))
    dilate_first_blocks([[net.blocks[3][0], net.blocks[3][1]], [net.blocks[5][0], net.blocks[5][1]]])
    backbone = build_backbone("efficientnet_lite0", output_stride=8, weights="random", dilate=True).eval()
    backbone.load_state_dict(dict(zip(backbone.state_dict(), net.state_dict().values(), strict=True)))
    images = photo()
    with torch.no_grad():
        expected = net.forward_features(images * backbone.input_scale + backbone.input_shift)
        assert_same_up_to_rounding(backbone(images)[-1], expected)


@pytest.mark.parametrize(
    ("stride", "dilations", "strides"),
    [(8, [1, 1, 2, 4], [1, 2, 1, 1]), (16, [1, 1, 1, 2], [1, 2, 2, 1]), (32, [1, 1, 1, 1], [1, 2, 2, 2])],
)
def test_dilations_of_every_block(stride, dilations, strides):
    """As released: a stage's first block has the stage's own dilation."""
    backbone = on_meta("resnet101", output_stride=stride, dilate=True)
    for blocks, dilation, first in zip(backbone.stages[1:], dilations, strides, strict=True):
        assert {block.conv2.dilation for block in blocks} == {(dilation, dilation)}
        assert [block.conv2.stride[0] for block in blocks] == [first] + [1] * (len(blocks) - 1)


def test_undilated_stride_16_only_drops_the_last_stride():
    backbone = on_meta("resnet50")
    assert {module.dilation for module in backbone.modules() if isinstance(module, nn.Conv2d)} == {(1, 1)}
    assert [blocks[0].conv2.stride[0] for blocks in backbone.stages[1:]] == [1, 2, 2, 1]


def test_dilation_keeps_the_receptive_field_of_vgg():
    """At even positions the dilated stride-8 network sees what the stride-16 one would see without its pooling."""
    plain, dilated = (build_backbone("vgg16", output_stride=8, weights="random", dilate=d) for d in (False, True))
    dilated.load_state_dict(plain.state_dict())
    x = torch.randn(1, 512, 9, 9)
    with torch.no_grad():
        coarse = nn.Sequential(*plain.stages[4])(x[..., ::2, ::2])
        fine = nn.Sequential(*dilated.stages[4])(x)
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=1e-4, atol=1e-5)


def test_vgg_maps_are_the_relus_before_pooling():
    backbone = build_backbone("vgg19", weights="random")
    images = photo(32, 32)
    layers = [layer for blocks in backbone.stages for block in blocks for layer in block]
    assert [len(blocks) for blocks in backbone.stages] == [2, 2, 4, 4, 4]
    x, before_pooling, first = images, [], {}
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, nn.MaxPool2d):
                before_pooling.append(x)
            x = layer(x)
            if isinstance(layer, nn.ReLU) and len(before_pooling) not in first:
                first[len(before_pooling)] = x
        tapped = {}
        maps = backbone(images, lambda y, stage, block, last: tapped.setdefault((stage, block), y))
    for measured, expected in zip(maps, [*before_pooling, x], strict=True):
        torch.testing.assert_close(measured, expected, rtol=0, atol=0)
    for stage, expected in first.items():
        torch.testing.assert_close(tapped[stage, 0], expected, rtol=0, atol=0)


def test_tap_sees_every_block_in_order(lite0):
    calls = []

    def tap(x, stage, block, last):
        calls.append((stage, block, last))
        return x

    with torch.no_grad():
        lite0(photo(), tap)
    sizes = [len(blocks) for blocks in lite0.stages]
    assert sizes == [2, 2, 2, 6, 6]
    assert calls == [(s, b, b == n - 1) for s, n in enumerate(sizes) for b in range(n)]


def test_tap_replaces_what_follows(lite0):
    images = photo()
    with torch.no_grad():
        maps = lite0(images)
        doubled = lite0(images, lambda x, stage, block, last: 2 * x if stage == 2 and last else x)
        torch.testing.assert_close(doubled[1], maps[1], rtol=0, atol=0)
        torch.testing.assert_close(doubled[2], 2 * maps[2], rtol=0, atol=0)
        x = 2 * maps[2]
        for block in lite0.stages[3]:
            x = block(x)
        torch.testing.assert_close(doubled[3], x, rtol=0, atol=0)


def test_stop_ends_early(lite0):
    images = photo()
    with torch.no_grad():
        full, short = lite0(images), lite0(images, stop=2)
    assert len(short) == 3
    torch.testing.assert_close(short, full[:3], rtol=0, atol=0)


def test_training_leaves_batch_norm_statistics_alone():
    backbone = build_backbone("efficientnet_lite0", weights="random").train()
    assert backbone.training
    before = {k: v.clone() for k, v in backbone.state_dict().items() if "running" in k or "tracked" in k}
    images = photo(batch=2)
    trained = backbone(images)[-1]
    trained.square().mean().backward()
    after = backbone.state_dict()
    assert before and all(torch.equal(v, after[k]) for k, v in before.items())
    torch.testing.assert_close(trained, backbone.eval()(images)[-1], rtol=0, atol=0)
    affine = [m.weight.grad for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(grad is not None for grad in affine) and any(grad.abs().sum() > 0 for grad in affine)


def test_batch_norm_that_trains_takes_the_statistics_of_its_batch():
    torch.manual_seed(0)
    backbone = build_backbone("efficientnet_lite0", weights="random", train_norm=True).train()
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(norm.training for norm in norms)
    inputs = []
    norms[0].register_forward_hook(lambda module, args, out: inputs.append(args[0]))
    before = norms[0].running_mean.clone()
    backbone(photo(batch=2))
    mean = inputs[0].mean((0, 2, 3))
    torch.testing.assert_close(norms[0].running_mean, before + norms[0].momentum * (mean - before))
    assert not any(norm.training for norm in backbone.eval().modules() if isinstance(norm, nn.BatchNorm2d))


@pytest.mark.parametrize("detach", [0, 1, 2, 3, 4])
def test_gradient_reaches_the_stages_behind_detach(detach):
    backbone = on_meta("efficientnet_lite0", detach=detach)
    trains = [stage > detach or detach == 0 for stage in range(5)]
    maps = backbone(photo().to("meta"))
    assert [x.requires_grad for x in maps] == trains
    if any(trains):
        maps[-1].sum().backward()
    for blocks, wanted in zip(backbone.stages, trains, strict=True):
        for parameter in blocks.parameters():
            assert parameter.requires_grad == wanted and (parameter.grad is not None) == wanted


def test_gradient_passes_a_frozen_loss_network_to_its_images():
    backbone = build_backbone("vgg16", weights="random").requires_grad_(False)
    images = photo(32, 32).requires_grad_()
    backbone(images)[-1].sum().backward()
    assert images.grad.abs().sum() > 0


def test_no_grad_around_the_backbone_holds(lite0):
    with torch.no_grad():
        assert not lite0(photo())[-1].requires_grad


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"name": "resnet5"}, "did you mean 'resnet50'"),
        ({"name": "resnet50", "output_stride": 4}, "8, 16 or 32"),
        ({"name": "resnet50", "detach": 5}, "from 1 to 4"),
    ],
)
def test_wrong_choices(arguments, part):
    with pytest.raises(UserError, match=part):
        build_backbone(**arguments, weights="random")
