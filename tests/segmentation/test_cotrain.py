"""Co-training: who learns from whom, what it is divided by, and what mixed images learn from, by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sscnb.segmentation.cotrain import CoTrainingObjective, TwoNets, sure_labels
from sscnb.segmentation.deeplab import build_deeplab
from sscnb.segmentation.mixing import outline
from sscnb.settings import SegmentationSettings

LITE = SegmentationSettings(backbone="efficientnet_lite0", weights="random", rates=(1, 2))
UNMIXED = SegmentationSettings(mix_probability=0.0)
RELEASED = SegmentationSettings(divide_by="all", mix="halves", contour="pasted", mix_probability=1.0)


class Fixed(nn.Module):
    """A network that says the same whatever it sees: logits 1,L,h,w that can be trained."""

    stride = 1

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits.expand(len(images), -1, -1, -1)


class Reader(nn.Module):
    """A network that reads its labels off the image: channel 0 holds the label, channel 1 how sure it is."""

    stride = 1

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        chosen = nn.functional.one_hot(images[:, 0].long(), 4).movedim(-1, 1)
        return self.factor * images[:, 1:2] * chosen


def peaked(labels, number=3, height=2.0):
    return height * torch.nn.functional.one_hot(torch.as_tensor(labels), number).movedim(-1, 0)[None].float()


@pytest.mark.parametrize(("divide_by", "share"), [("labelled", 1), ("all", 1 / 3)])
def test_trusted_pixels_teach_both_and_the_others_each_other(divide_by, share):
    first, second = Fixed(peaked([[0, 1, 1]])), Fixed(peaked([[0, 2, 2]]))
    batch = {"image": torch.zeros(1, 3, 1, 3), "target": torch.tensor([[[0, 254, 255]]])}
    losses = CoTrainingObjective(TwoNets(first, second), replace(UNMIXED, divide_by=divide_by))(batch, 0)
    sure, wrong = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[:2]
    assert losses["supervised"].item() == pytest.approx(2 * sure.item() * share)  # one of three pixels each
    assert losses["mutual"].item() == pytest.approx(2 * wrong.item() * share)  # each says what the other calls unlikely
    assert losses["loss"].item() == pytest.approx((2 * sure + 2 * wrong).item() * share)
    losses["loss"].backward()
    for net, other in ((first, 2), (second, 1)):
        gradient = net.logits.grad[0, :, 0]
        assert gradient[0, 0] < 0 and gradient[other, 1] < 0  # towards the label, towards the other's word
        assert not gradient[:, 2].any()  # ignored


def test_contours_of_labels_count_more():
    labels = torch.tensor([[0] * 8 + [1] * 8])
    nets = [Fixed(peaked(labels)) for _ in range(2)]
    batch = {"image": torch.zeros(1, 3, 1, 16), "target": labels[None]}
    losses = CoTrainingObjective(TwoNets(*nets), UNMIXED)(batch, 0)
    sure = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[0].item()
    # Two pixels on either side of the contour see across it within a window of five.
    assert losses["supervised"].item() == pytest.approx(2 * sure * (16 + 0.2 * 4) / 16)
    assert losses["mutual"].item() == 0
    only_pasted = CoTrainingObjective(TwoNets(*nets), replace(UNMIXED, contour="pasted"))(batch, 0)
    assert only_pasted["supervised"].item() == pytest.approx(2 * sure)  # nothing was pasted


def test_the_outline_of_what_was_pasted_counts_more():
    torch.manual_seed(0)
    target = torch.zeros(2, 6, 6, dtype=torch.long)
    target[1, 2:4, 2:4] = 1  # the only class to paste, from the second image into the first
    target[0, 0, 0] = 254
    nets = [Fixed(peaked([[2] * 6] * 6)) for _ in range(2)]  # wrong everywhere, and equally
    losses = CoTrainingObjective(TwoNets(*nets), RELEASED)({"image": torch.zeros(2, 3, 6, 6), "target": target}, 0)
    wrong = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[1].item()
    # All but one pixel are trusted. Inside and outside the square of 2 x 2 its outline covers 4 x 4 pixels.
    assert losses["supervised"].item() == pytest.approx(2 * wrong * (72 - 1 + 0.2 * 16) / 72, rel=1e-5)


def test_after_two_epochs_mixed_images_learn_what_both_networks_say():
    """The pseudo-masks say 1 in the second image; the networks say 2, and are not sure of the last row."""
    target = torch.zeros(2, 4, 4, dtype=torch.long)
    target[1, :2] = 1
    target[0, 0, 0] = target[0, 3, 3] = 255
    images = torch.zeros(2, 3, 4, 4)
    images[:, 1] = 20.0
    images[:, 1, 3] = 0.1
    images[1, 0, :2] = 2
    torch.manual_seed(0)
    early = CoTrainingObjective(TwoNets(Reader(), Reader()), RELEASED)._mix(images, target, 1)
    assert set(early.target[0].unique().tolist()) == {0, 1, 255} and early.pasted[0, :2].all()
    nets = TwoNets(Reader(), Reader()).train()
    late = CoTrainingObjective(nets, RELEASED)._mix(images, target, 2)
    assert nets.first.modes == nets.second.modes == [False] and nets.training and nets.first.training
    expected = torch.tensor([[2] * 4, [2] * 4, [0] * 4, [254, 254, 254, 255]])
    assert torch.equal(late.target[0], expected)  # what was ignored stays so, unless it is pasted over
    # The second image receives nothing, since the first has no class but the background, and keeps its pseudo-mask.
    assert torch.equal(late.target[1], target[1]) and not late.pasted[1].any()
    assert torch.equal(late.images[1], images[1]) and torch.equal(late.images[0, 0, :2], images[1, 0, :2])
    assert outline(late.pasted)[0].sum() == 8


def test_sure_labels_by_hand():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 1, 0] = torch.tensor([5.0, 2.9, 2.95, 5.0])  # sigmoid: .993, .948, .950.., .993
    target = torch.tensor([[[0, 0, 0, 255]]])
    assert sure_labels(TwoNets(Fixed(logits), Fixed(logits)), torch.zeros(1, 3, 1, 4), target, 0.95).tolist() == [
        [[1, 254, 1, 255]]
    ]


def test_sure_labels_leave_batch_norm_alone():
    torch.manual_seed(0)
    net = TwoNets(build_deeplab(LITE, 3), build_deeplab(LITE, 3)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    labels = sure_labels(net, torch.randn(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long), 0.0)
    assert labels.max() < 3 and not labels.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())


def test_the_two_answer_with_the_mean_of_their_logits():
    logits = [torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)]
    nets = TwoNets(*map(Fixed, logits))
    assert torch.allclose(nets(torch.zeros(1, 3, 3, 3)), (logits[0] + logits[1]) / 2)


def test_two_real_networks_begin_differently_and_both_learn():
    torch.manual_seed(0)
    net = TwoNets(build_deeplab(LITE, 3), build_deeplab(LITE, 3))
    assert net.stride == 16
    objective = CoTrainingObjective(net, LITE)
    batch = {"image": torch.randn(2, 3, 24, 24), "target": torch.randint(3, (2, 24, 24))}
    batch["target"][:, :12] = 254
    losses = objective(batch, 0)
    losses["loss"].backward()
    assert losses["mutual"].item() > 0
    heads = [part.branches[0].weight for part in (net.first, net.second)]
    assert not torch.equal(*heads) and all(head.grad.any() for head in heads)
