"""The CAM network, its maps (Eq. 1) and its loss (Eq. 2)."""

import math

import pytest
import torch
from torch import nn

from sscnb.method.cam import CAMNet, class_activation, classification_loss


class Stage(nn.Module):
    """A backbone of one convolution with stride 2, lopsided, so that it sees left and right differently."""

    channels = (4, 4, 4, 4, 4)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images, tap=None):
        x = self.conv(images)
        return [x] * 4 + [x if tap is None else tap(x, 4, 0, True)]


@pytest.fixture
def net():
    return CAMNet(Stage(), num_classes=5).eval()


def pictures(height, width, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_activation_by_hand():
    features = torch.tensor([[[[-1.0, 2.0], [4.0, 0.0]], [[-3.0, -1.0], [-2.0, -5.0]]]])
    found = class_activation(features, eps=0.0)
    assert found[0, 0].tolist() == [[0, 0.5], [1, 0]]
    found = class_activation(features)
    assert found[0, 0].flatten().tolist() == pytest.approx([0, 2 / 4.00001, 4 / 4.00001, 0])
    assert (found[0, 1] == 0).all()  # no positive value anywhere: no activation, and no NaN


def test_activation_knows_no_scale_per_map():
    features = torch.rand(2, 3, 4, 5) + 0.1
    factors = torch.tensor([1.0, 7.0, 100.0])[None, :, None, None]
    torch.testing.assert_close(class_activation(features * factors, eps=0), class_activation(features, eps=0))
    assert class_activation(features).max() <= 1 and class_activation(torch.zeros(0, 4, 5)).shape == (0, 4, 5)


def test_loss_by_hand():
    logits, labels = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, -2.0]]), torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    # -[y log sigmoid(q) + (1 - y) log(1 - sigmoid(q))], mean over classes and images
    pairs = [(2, 1), (-1, 0), (0, 1), (0.5, 0), (3, 1), (-2, 0)]
    terms = [math.log1p(math.exp(-q if y else q)) for q, y in pairs]
    assert classification_loss(logits, labels).item() == pytest.approx(sum(terms) / 6, rel=1e-6)


def test_network_scores_are_the_average_of_its_features(net):
    logits, features = net(pictures(12, 18))
    assert logits.shape == (2, 5) and features.shape == (2, 5, 6, 9)
    torch.testing.assert_close(logits, features.mean(dim=(2, 3)))
    assert net.classifier.bias is None and (features < 0).any()  # raw
    expected = torch.einsum("ck,bkhw->bchw", net.classifier.weight[..., 0, 0], net.backbone(pictures(12, 18))[-1])
    torch.testing.assert_close(features, expected)


def test_network_suppresses_where_it_is_told(net):
    calls = []

    def halve(x, stage, block, last):
        calls.append((stage, block, last))
        return x / 2

    halved = CAMNet(net.backbone, 5, halve)
    halved.load_state_dict(net.state_dict())
    torch.testing.assert_close(halved(pictures(8, 8))[1], net(pictures(8, 8))[1] / 2)
    assert calls == [(4, 0, True)]


def test_forward_stages_gives_the_maps_as_well(net):
    logits, features, stages = net.forward_stages(pictures(8, 8))
    assert len(stages) == 5 and torch.equal(net(pictures(8, 8))[1], features) and logits.shape == (2, 5)
