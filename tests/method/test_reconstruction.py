import pytest
import torch
from torch import nn

from sscnb.errors import UserError
from sscnb.method.perceptual import PerceptualLoss, pixel_loss
from sscnb.method.reconstruction import ReconstructionNet


def seeded(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


class Toy(nn.Module):
    """A staged backbone: each stage has two blocks, a smooth 1x1 convolution and a batch norm each."""

    def __init__(self, stages=5, cut=False):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            block = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Softplus()) for _ in range(2 * stages)]
        self.stages = nn.ModuleList(nn.ModuleList(block[2 * i : 2 * i + 2]) for i in range(stages))
        self.cut, self.ran = cut, []
        self.double()

    def forward(self, images, tap=None):
        x, maps, self.ran = images, [], []
        for s, stage in enumerate(self.stages):
            x = nn.functional.avg_pool2d(x, 2) if s else x
            for b, block in enumerate(stage):
                self.ran.append((s, b))
                x = block(x.detach() if self.cut else x)
                x = tap(x, s, b, b == 1) if tap else x
            maps.append(x)
        return maps


class Linear(nn.Module):
    """Two stages spelt out: stage 0 is 2x and then 2x + 1, stage 1 is the 2x2 mean times -3 and then times -6."""

    def forward(self, images, tap):
        x = tap(2 * images, 0, 0, False)
        x = tap(x + 1, 0, 1, True)
        x = tap(-3 * nn.functional.avg_pool2d(x, 2), 1, 0, False)
        return tap(2 * x, 1, 1, True)


def test_table_1_has_the_release_s_parameters():
    net = ReconstructionNet(20, width=256)
    assert sum(p.numel() for p in net.parameters()) == 4_631_811
    kinds = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [m.out_channels for m in kinds] == [256, 256, 256, 256, 256, 256, 128, 128, 64, 64, 32, 3]
    assert [m.kernel_size[0] for m in kinds if isinstance(m, nn.ConvTranspose2d)] == [4, 4, 4, 4]


@pytest.mark.parametrize("upsamplings, cells", [(4, (2, 3)), (4, (5, 7)), (3, (3, 4)), (5, (2, 2)), (1, (2, 2))])
def test_output_has_the_image_s_size_and_tanh_s_range(upsamplings, cells):
    net = ReconstructionNet(6, width=8, upsamplings=upsamplings)
    image = net(100 * seeded(2, 6, *cells, dtype=torch.float32))
    assert net.scale == 2**upsamplings
    assert image.shape == (2, 3, cells[0] * net.scale, cells[1] * net.scale)
    assert image.abs().max() <= 1


def test_layer_norm_is_over_the_whole_sample():
    net = ReconstructionNet(4, width=8).double()
    norm = net.layers[1]
    x = seeded(2, 8, 3, 5)
    flat = x.flatten(1)
    scaled = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)  # unbiased, as the release
    expected = scaled.view_as(x) * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert torch.allclose(norm(x), expected)


def test_gammas_are_uniform_and_betas_zero():
    torch.manual_seed(0)
    layers = [m for m in ReconstructionNet(4, width=64).modules() if getattr(m, "weight", None) is not None]
    norms = [m for m in layers if m.weight.dim() == 1]
    gamma = torch.cat([m.weight.detach() for m in norms])
    assert 0 <= gamma.min() and gamma.max() <= 1
    assert gamma.mean().item() == pytest.approx(1 / 2, abs=0.06)
    assert gamma.var().item() == pytest.approx(1 / 12, abs=0.02)
    assert all(m.bias.abs().max() == 0 for m in norms)


def test_images_do_not_see_each_other():
    net, x = ReconstructionNet(4, width=8).double(), seeded(3, 4, 2, 2)
    assert torch.allclose(net(x)[1:2], net(x[1:2]), atol=1e-12)


def test_reconstruction_gradient():
    torch.manual_seed(0)
    net = ReconstructionNet(2, width=8, upsamplings=1).double()
    assert torch.autograd.gradcheck(net, (seeded(1, 2, 2, 3).requires_grad_(),))


def gradients(net, x):
    net.zero_grad()
    x = x.clone().requires_grad_()
    image = net(x)
    (image * seeded(*image.shape, seed=9)).sum().backward()
    return [image, x.grad, *(p.grad for p in net.parameters())]


def test_checkpointing_the_decoder_changes_no_result():
    torch.manual_seed(0)
    plain, thrifty = ReconstructionNet(3, width=8).double(), ReconstructionNet(3, width=8, checkpoint=True).double()
    thrifty.load_state_dict(plain.state_dict())
    x = seeded(3, 3, 2, 3)
    pairs = zip(gradients(plain, x), gradients(thrifty, x), strict=True)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in pairs)
    with torch.no_grad():
        assert torch.allclose(plain(x), thrifty(x), atol=1e-12)


def test_decoder_refuses_what_it_cannot_do():
    for width in (0, 4, 12):
        with pytest.raises(UserError, match="width"):
            ReconstructionNet(4, width=width)
    for upsamplings in (0, 6):
        with pytest.raises(UserError, match="upsamplings"):
            ReconstructionNet(4, upsamplings=upsamplings)
    with pytest.raises(UserError, match="1x4"):
        ReconstructionNet(4, width=8)(torch.zeros(1, 4, 1, 4))


def test_pixel_losses_by_hand():
    image = torch.tensor([0.0, 1.0, 2.0, -1.0]).view(1, 1, 2, 2)
    reconstruction = torch.tensor([0.0, 3.0, 1.0, 0.0]).view(1, 1, 2, 2)
    assert pixel_loss(reconstruction, image).item() == pytest.approx((0 + 2 + 1 + 1) / 4)
    assert pixel_loss(reconstruction, image, "l2").item() == pytest.approx((0 + 4 + 1 + 1) / 4)
    with pytest.raises(UserError, match="l3"):
        pixel_loss(reconstruction, image, "l3")


IMAGE = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
RECONSTRUCTION = torch.tensor([[0.0, 2.0], [3.0, -2.0]]).view(1, 1, 2, 2)
# differences: -1, 0, 0, -6. Stage 0 doubles them: mean |.| = (2 + 0 + 0 + 12) / 4 = 3.5.
# Stage 1 sees their mean, 2 * -7/4 = -3.5, times -3 (first block) or -6 (last block): 10.5 or 21.


@pytest.mark.parametrize(
    "taps, stage_weights, expected",
    [
        ("last", "paper", 3.5 / 4 + 21 / 2),
        ("last", "released", 3.5 / 4 + 21),
        ("first", "paper", 3.5 / 4 + 10.5 / 2),
        ("first", "released", 3.5 / 4 + 10.5),
    ],
)
def test_equation_6_by_hand(taps, stage_weights, expected):
    loss = PerceptualLoss(Linear(), taps=taps, stage_weights=stage_weights, stages=2)
    assert loss(RECONSTRUCTION, loss.targets(IMAGE)).item() == pytest.approx(expected)


def test_activation_scaling_by_hand():
    loss = PerceptualLoss(Linear(), stages=2, scale="activation")
    targets = loss.targets(IMAGE)
    # mean |phi_1| of (3, 5, 7, 9) is 6; phi_2 is 6 * -6 = -36
    assert loss.stage_losses(RECONSTRUCTION, targets).tolist() == pytest.approx([3.5 / 6, 21 / 36])
    assert loss(RECONSTRUCTION, targets).item() == pytest.approx(3.5 / 6 / 4 + 21 / 36 / 2)


def test_network_scaling_by_hand():
    loss = PerceptualLoss(Linear(), stages=2, scale="network")
    targets = loss.targets(IMAGE)
    size = (6 / 4 + 36 / 2) / (1 / 4 + 1 / 2)
    assert loss.stage_losses(RECONSTRUCTION, targets).tolist() == pytest.approx([3.5 / size, 21 / size])
    assert loss(RECONSTRUCTION, targets).item() == pytest.approx((3.5 / 4 + 21 / 2) / size)


class Louder(nn.Module):
    """A network with `gain` times the activations of another, stage by stage."""

    def __init__(self, network, gains):
        super().__init__()
        self.network, self.gains = network, gains

    def forward(self, images, tap):
        def louder(x, stage, block, last):
            return tap(x * self.gains[stage], stage, block, last) / self.gains[stage]

        return self.network(images, louder)


def test_scaling_forgets_the_magnitude_of_network_or_stages():
    def value(scale, *gains):
        loss = PerceptualLoss(Louder(Linear(), gains), stages=2, scale=scale)
        return loss(RECONSTRUCTION, loss.targets(IMAGE)).item()

    for scale in ("activation", "network"):
        assert value(scale, 7, 7) == pytest.approx(value(scale, 1, 1))
    assert value("activation", 2, 9) == pytest.approx(value("activation", 1, 1))
    assert value("none", 7, 7) == pytest.approx(7 * value("none", 1, 1))


@pytest.mark.parametrize("scale", ["activation", "network"])
def test_scaled_loss_of_features_that_are_zero_is_the_sum_of_weights(scale):
    loss = PerceptualLoss(Linear(), stages=2, scale=scale)
    nothing = torch.full_like(IMAGE, -0.5)  # 2x + 1 is 0 there
    assert loss(nothing, loss.targets(IMAGE)).item() == pytest.approx(1 / 4 + 1 / 2)


def test_weights_of_five_stages():
    assert PerceptualLoss(Toy()).stage_weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
    assert PerceptualLoss(Toy(), stage_weights="released").stage_weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


@pytest.mark.parametrize("taps", ["last", "first"])
def test_network_runs_only_as_far_as_needed(taps):
    network = Toy()
    loss = PerceptualLoss(network, taps=taps, stages=3)
    image = seeded(1, 3, 16, 16)
    block = 1 if taps == "last" else 0
    assert [x.shape[-1] for x in loss.targets(image)] == [16, 8, 4]
    assert network.ran[-1] == (2, block)


def test_loss_network_is_frozen_and_targets_have_no_gradient():
    network = Toy()
    loss = PerceptualLoss(network)
    nn.Sequential(loss).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    targets = loss.targets(seeded(2, 3, 16, 16))
    reconstruction = seeded(2, 3, 16, 16, seed=1).requires_grad_()
    loss(reconstruction, targets).backward()
    assert not any(y.requires_grad for y in targets)
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
    assert reconstruction.grad.abs().max() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert loss(seeded(2, 3, 16, 16), targets).item() == 0


@pytest.mark.parametrize("scale", ["none", "activation", "network"])
def test_perceptual_gradient(scale):
    loss = PerceptualLoss(Toy(2), stages=2, scale=scale)
    targets = loss.targets(seeded(1, 3, 4, 4))
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), (seeded(1, 3, 4, 4, seed=1).requires_grad_(),))


@pytest.mark.parametrize("scale", ["none", "activation", "network"])
@pytest.mark.parametrize("taps", ["last", "first"])
def test_checkpointing_the_loss_network_changes_no_result(scale, taps):
    image, values, grads = seeded(3, 3, 16, 16), [], []
    for checkpoint in (False, True):
        loss = PerceptualLoss(Toy(), scale=scale, taps=taps, checkpoint=checkpoint)
        reconstruction = seeded(3, 3, 16, 16, seed=1).requires_grad_()
        value = loss(reconstruction, loss.targets(image))
        value.backward()
        values.append(value.item())
        grads.append(reconstruction.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert torch.allclose(grads[0], grads[1], atol=1e-14) and grads[0].abs().max() > 1e-6


def test_bf16_is_close_to_float32():
    values = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = PerceptualLoss(Toy().float(), scale="activation")
            value = loss(seeded(2, 3, 16, 16, seed=1).float(), loss.targets(seeded(2, 3, 16, 16).float()))
        values.append(value)
    assert values[1].dtype == torch.float32
    assert values[0].item() == pytest.approx(values[1].item(), rel=0.02)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_detached_loss_network_is_an_error_not_a_zero_gradient(checkpoint):
    loss = PerceptualLoss(Toy(cut=True), checkpoint=checkpoint)
    image = seeded(1, 3, 16, 16)
    with pytest.raises(UserError, match="detach=0"):
        loss(image.clone().requires_grad_(), loss.targets(image))
    with torch.no_grad():
        assert loss(image.clone().requires_grad_(), loss.targets(image)).item() == 0


def test_perceptual_choices_are_named():
    for choice in ({"taps": "lst"}, {"stage_weights": "papr"}, {"scale": "activations"}, {"stages": 6}):
        with pytest.raises(UserError, match="perceptual"):
            PerceptualLoss(Toy(), **choice)
