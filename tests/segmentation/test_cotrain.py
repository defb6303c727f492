"""Co-training: who learns from whom, contours and ClassMix counted by hand."""

import pytest
import torch
from torch import nn

from sscnb.segmentation import cotrain
from sscnb.segmentation.cotrain import CoTrainingObjective, TwoNets, at_contour, class_mix
from sscnb.segmentation.deeplab import build_deeplab
from sscnb.settings.schema import SegmentationSettings

LITE = SegmentationSettings(backbone="efficientnet_lite0", weights="random", rates=(1, 2))


class Fixed(nn.Module):
    """A network that says the same whatever it sees: logits 1,L,h,w that can be trained."""

    stride = 1

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits


def peaked(labels, number=3, height=2.0):
    return height * torch.nn.functional.one_hot(torch.as_tensor(labels), number).movedim(-1, 0)[None].float()


@pytest.fixture
def no_mixing(monkeypatch):
    monkeypatch.setattr(cotrain, "MIX", 0.0)


def test_trusted_pixels_teach_both_and_the_others_each_other(no_mixing):
    first, second = Fixed(peaked([[0, 1, 1]])), Fixed(peaked([[0, 2, 2]]))
    batch = {"image": torch.zeros(1, 3, 1, 3), "target": torch.tensor([[[0, 254, 255]]])}
    losses = CoTrainingObjective(TwoNets(first, second))(batch, 0)
    sure, wrong = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[:2]
    assert losses["supervised"].item() == pytest.approx(2 * sure.item())
    assert losses["mutual"].item() == pytest.approx(2 * wrong.item())  # each says what the other calls unlikely
    assert losses["loss"].item() == pytest.approx((2 * sure + 2 * wrong).item())
    losses["loss"].backward()
    for net, other in ((first, 2), (second, 1)):
        gradient = net.logits.grad[0, :, 0]
        assert gradient[0, 0] < 0 and gradient[other, 1] < 0  # towards the label, towards the other's word
        assert not gradient[:, 2].any()  # ignored


def test_contours_count_more(no_mixing):
    labels = torch.tensor([[0] * 8 + [1] * 8])
    nets = [Fixed(peaked(labels)) for _ in range(2)]
    batch = {"image": torch.zeros(1, 3, 1, 16), "target": labels[None]}
    losses = CoTrainingObjective(TwoNets(*nets))(batch, 0)
    sure = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[0].item()
    # Two pixels on either side of the contour see across it within a window of five.
    assert losses["supervised"].item() == pytest.approx(2 * sure * (16 + 0.2 * 4) / 16)
    assert losses["mutual"].item() == 0


def test_at_contour():
    target = torch.tensor([[[0, 0, 1, 1, 254, 2, 255, 0]]])
    assert at_contour(target, 3).tolist() == [[[0, 1, 1, 0, 0, 0, 0, 0]]]  # untrusted pixels make none, and are none
    assert at_contour(target, 5).tolist() == [[[1, 1, 1, 1, 0, 1, 0, 1]]]
    assert not at_contour(torch.full((1, 4, 4), 254), 5).any()


def test_class_mix_pastes_whole_classes():
    torch.manual_seed(0)
    target = torch.randint(0, 4, (6, 8, 8))
    target[:, 0], target[:, 1] = 254, 255
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 8, 8)
    mixed, labels = class_mix(images, target, 1.0)
    for index in range(6):
        donor = (index + 1) % 6
        pasted = mixed[index, 0] == donor
        chosen = target[donor][pasted].unique()
        assert len(chosen) == 2 and chosen.max() < 254  # half of four classes
        assert torch.equal(pasted, torch.isin(target[donor], chosen))
        assert torch.equal(labels[index], torch.where(pasted, target[donor], target[index]))
        assert torch.equal(mixed[index, 0] == index, ~pasted)


def test_class_mix_leaves_its_input_alone_and_happens_as_often_as_said():
    torch.manual_seed(0)
    images, target = torch.randn(2, 3, 4, 4), torch.tensor([[[0, 1, 2, 2]] * 4, [[3, 3, 4, 5]] * 4])
    before = images.clone(), target.clone()
    same = class_mix(images, target, 0.0)
    assert torch.equal(same[0], images) and torch.equal(same[1], target)
    changed = sum(not torch.equal(class_mix(images, target, 0.5)[1][0], target[0]) for _ in range(400))
    assert 160 < changed < 240
    assert torch.equal(images, before[0]) and torch.equal(target, before[1])
    nothing = torch.full((2, 4, 4), 255)
    assert torch.equal(class_mix(images, nothing, 1.0)[0], images)


def test_the_two_answer_with_their_mean():
    logits = [torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)]
    nets = TwoNets(*map(Fixed, logits))
    expected = (logits[0].softmax(1) + logits[1].softmax(1)) / 2
    assert torch.allclose(nets(torch.zeros(1, 3, 3, 3)).softmax(1), expected, atol=1e-6)
    sure = TwoNets(Fixed(peaked([[0]], height=1e4)), Fixed(peaked([[0]], height=1e4)))
    assert torch.isfinite(sure(torch.zeros(1, 3, 1, 1))).all()


def test_two_real_networks_begin_differently_and_both_learn():
    torch.manual_seed(0)
    net = TwoNets(build_deeplab(LITE, 3), build_deeplab(LITE, 3))
    assert net.stride == 16
    objective = CoTrainingObjective(net)
    batch = {"image": torch.randn(2, 3, 24, 24), "target": torch.randint(3, (2, 24, 24))}
    batch["target"][:, :12] = 254
    losses = objective(batch, 0)
    losses["loss"].backward()
    assert losses["mutual"].item() > 0
    heads = [part.branches[0].weight for part in (net.first, net.second)]
    assert not torch.equal(*heads) and all(head.grad.any() for head in heads)
