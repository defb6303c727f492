"""The relation network: its shape on every backbone and image size, and heads that leave each other alone."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F

from sscnb.errors import UserError
from sscnb.networks.backbones import build_backbone
from sscnb.refinement.irn import IRN, edge_map, grid_size, set_mean_displacement
from sscnb.refinement.irn_loss import relation_loss


@cache
def backbone(name="efficientnet_lite0"):
    torch.manual_seed(0)
    return build_backbone(name, output_stride=16, weights="random", detach=4)


def network(name="efficientnet_lite0", *, displacement=True, seed=1):
    base = backbone(name)  # outside of the seed: it is built once
    torch.manual_seed(seed)
    return IRN(base, displacement=displacement)


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0", "vgg16"])
@pytest.mark.parametrize("height, width", [(32, 48), (37, 50), (17, 3)])
def test_any_size_on_any_backbone(name, height, width):
    net = network(name).eval()
    edge, displacement = net(images(2, 3, height, width))
    h, w = -(-height // 4), -(-width // 4)
    assert edge.shape == (2, 1, h, w) and displacement.shape == (2, 2, h, w) and grid_size(height, width) == (h, w)
    assert edge.isfinite().all() and displacement.isfinite().all()


def test_number_of_parameters_on_resnet50():
    net = network("resnet50")
    stages = [64, 256, 512, 1024, 2048]
    edge = 32 * sum(stages) + 5 * 2 * 32 + 160 + 1
    widths = [64, 128, 256, 256, 256]
    displacement = sum(a * b + 2 * b for a, b in zip(stages, widths, strict=True))
    displacement += 768 * 256 + 2 * 256 + 448 * 256 + 2 * 256 + 2 * 256
    assert sum(p.numel() for p in net.edge.parameters()) == edge
    assert sum(p.numel() for p in net.displacement.parameters()) == displacement
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in net.named_parameters() if not name.startswith("backbone.")}


def by_formula(net, x):
    """The edge head on ResNet-50 written out: convolution, group norm, upsampling, ReLU; then all of them to one."""
    parts = []
    for branch, features, factor in zip(net.edge.branches, net.backbone(x), (1, 1, 2, 4, 4), strict=True):
        y = torch.einsum("oi,bihw->bohw", branch[0].weight[:, :, 0, 0], features)
        groups = y.reshape(len(x), 4, -1)
        y = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()
        y = y.reshape(len(x), 32, *features.shape[-2:])
        parts.append(F.interpolate(y, scale_factor=factor, mode="bilinear", align_corners=False).relu())
    weight, bias = net.edge.output.weight[:, :, 0, 0], net.edge.output.bias
    return torch.einsum("oi,bihw->bohw", weight, torch.cat(parts, 1)) + bias


def test_edge_head_is_the_formula():
    net, x = network("resnet50").eval(), images(2, 3, 32, 48)
    torch.testing.assert_close(net(x)[0], by_formula(net, x), rtol=1e-4, atol=1e-5)


def test_maps_finer_than_the_grid_are_averaged():
    from sscnb.refinement.irn import _branch

    branch = _branch(3, 8, 4, 1, 4)
    x = images(1, 3, 8, 12)
    means = x.reshape(1, 3, 2, 4, 3, 4).mean((3, 5))
    torch.testing.assert_close(branch(x), branch[1:](means))


def test_without_the_displacement_head_edges_are_identical_before_and_after_training():
    both, alone = network(), network(displacement=False)
    x, labels = images(2, 3, 32, 40), torch.randint(0, 3, (2, 8, 10), generator=torch.Generator().manual_seed(0))
    for net in (both, alone):
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            relation_loss(*net.train()(x), labels, radius=3)["loss"].backward()
            optimizer.step()
    assert alone.eval()(x)[1] is None and both.eval()(x)[1] is not None
    assert torch.equal(alone(x)[0], both(x)[0])
    assert torch.equal(both.edge_logits(x), both(x)[0])
    assert not torch.equal(network().edge_logits(x), both.edge_logits(x))
    x = images(3, 30, 41)
    assert torch.equal(edge_map(both, x), edge_map(alone, x))


def test_gradient_reaches_both_heads_and_not_the_backbone():
    net = network().train()
    edge, displacement = net(images(1, 3, 32, 32))
    relation_loss(edge, displacement, torch.arange(64).reshape(1, 8, 8) // 32, radius=3)["loss"].backward()
    for name, parameter in net.named_parameters():
        if name.startswith("backbone."):
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all() and (parameter.grad != 0).any()
    assert not any(m.training for m in net.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_mean_displacement_is_subtracted_in_evaluation_only():
    net = network()
    batches = [images(2, 3, 32, 32), images(1, 3, 32, 48, seed=1)]
    raw = [net.train()(x)[1] for x in batches]
    mean = set_mean_displacement(net, batches)
    expected = torch.cat([d.detach().transpose(0, 1).flatten(1) for d in raw], dim=1).mean(1)
    torch.testing.assert_close(mean, expected)
    assert (mean != 0).all()
    assert torch.equal(net.train()(batches[0])[1], raw[0])
    torch.testing.assert_close(net.eval()(batches[0])[1], raw[0] - mean.view(2, 1, 1))
    # Measured again in evaluation mode: not the mean of what has been freed of its mean already.
    torch.testing.assert_close(set_mean_displacement(net, batches), mean)
    assert "displacement.mean" in net.state_dict()


def test_mean_displacement_needs_a_head_and_images():
    with pytest.raises(UserError, match="displacement=False"):
        set_mean_displacement(network(displacement=False), [images(1, 3, 32, 32)])
    with pytest.raises(UserError, match="no images"):
        set_mean_displacement(network(), [])


def test_edge_map_is_the_sigmoid_of_the_mean_over_the_mirror_pair():
    net, x = network().eval(), images(3, 32, 48)
    with torch.no_grad():
        plain, mirrored = net(torch.stack([x, x.flip(-1)]))[0]
    expected = ((plain + mirrored.flip(-1)) / 2).sigmoid()[0]
    torch.testing.assert_close(edge_map(net, x, pad=0), expected)
    # Whole cells: an image and its mirror image have mirrored edges.
    torch.testing.assert_close(edge_map(net, x.flip(-1), pad=0).flip(-1), edge_map(net, x, pad=0))


@pytest.mark.parametrize(
    "size, pad, padded", [((37, 50), 0, (48, 64)), ((37, 50), 96, (96, 96)), ((37, 130), 96, (96, 144))]
)
def test_edge_map_is_that_of_the_image_and_its_mirror_image_on_a_canvas_of_zeros(size, pad, padded):
    net, x = network().eval(), images(3, *size)
    canvas = torch.zeros(2, 3, *padded)
    canvas[0, :, : size[0], : size[1]] = x
    canvas[1, :, : size[0], : size[1]] = x.flip(-1)
    h, w = -(-size[0] // 4), -(-size[1] // 4)
    with torch.no_grad():
        plain, mirrored = net.edge(net.backbone(canvas))[:, 0, :h, :w]
    # The mirrored map ends where the image does, and not where its canvas does.
    expected = torch.sigmoid((plain + torch.stack([row.flip(0) for row in mirrored])) / 2)
    torch.testing.assert_close(edge_map(net, x, pad=pad), expected)
    result = edge_map(net.train(), x, pad=pad)
    assert result.shape == (h, w) and not result.requires_grad and 0 < result.min() and result.max() < 1


def test_padding_is_the_releases_by_default_and_changes_the_statistics():
    net, x = network().eval(), images(3, 60, 80)
    assert torch.equal(edge_map(net, x), edge_map(net, x, pad=512))
    assert net.pad(x[None], 512).shape == (1, 3, 512, 512)
    assert net.pad(images(1, 3, 4, 700), 512).shape == (1, 3, 512, 704)
    # Far from the right and the bottom, beyond any convolution's reach but not a group norm's.
    assert (edge_map(net, x)[0, 0] - edge_map(net, x, pad=0)[0, 0]).abs() > 1e-4


def test_group_norm_sees_the_zeros():
    """On a backbone whose maps are the image averaged, the first branch's statistics by hand."""

    class Means(torch.nn.Module):
        channels, strides = (3,), (4,)

        def forward(self, x):
            return [F.avg_pool2d(x, 4)]

    net = IRN(Means(), displacement=False).eval()
    x = images(3, 8, 12)
    cells = torch.zeros(3, 4, 4)
    cells[:, :2, :3] = F.avg_pool2d(x, 4)
    branch, output = net.edge.branches[0], net.edge.output
    mixed = torch.einsum("oi,ihw->ohw", branch[0].weight[:, :, 0, 0], cells).reshape(4, 8, 16)
    mean, variance = mixed.mean((1, 2), keepdim=True), mixed.var((1, 2), keepdim=True, unbiased=False)
    normed = ((mixed - mean) / (variance + 1e-5).sqrt()).reshape(32, 4, 4).relu()
    logits = torch.einsum("i,ihw->hw", output.weight[0, :, 0, 0], normed) + output.bias
    torch.testing.assert_close(net.edge_logits(x[None], least=16)[0, 0], logits[:2, :3], rtol=1e-4, atol=1e-5)
