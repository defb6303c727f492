"""The reconstruction gap: 0 for one texture, 1 for the images themselves, and by hand for a loss that is by hand."""

import pytest
import torch
from torch import nn

from sscnb.errors import UserError
from sscnb.method.gap import reconstruction_gap
from sscnb.method.perceptual import PerceptualLoss


class Pixels(nn.Module):
    """A loss network whose one map is the image."""

    def forward(self, images, tap):
        return [tap(images, 0, 0, True)]


def loss(**choices) -> PerceptualLoss:
    return PerceptualLoss(Pixels(), stages=1, **choices)


def images(number=4, side=8):
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", ["none", "activation", "network"])
def test_one_texture_for_all_has_no_gap(scale):
    texture = images(1)
    values = reconstruction_gap(lambda x: texture.expand_as(x), loss(scale=scale), [images(), images(3)])
    assert values["gap"] == pytest.approx(0, abs=1e-6) and values["own"] == pytest.approx(values["fixed"])


def test_the_images_themselves_have_all_of_it():
    values = reconstruction_gap(lambda x: x, loss(), [images()])
    assert values["own"] == 0 and values["gap"] == 1 and values["mirror"] > 0


def test_by_hand():
    """Two grey images of 1 and 3, rebuilt as 2 and 4; the stage weight of one stage is a half."""
    grey = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    values = reconstruction_gap(lambda x: x + 1, loss(), [grey])
    assert values["own"] == 0.5 * 1 and values["other"] == 0.5 * (1 + 3) / 2
    assert values["blank"] == 0.5 * 2 and values["colour"] == 0 and values["mirror"] == values["own"]
    assert values["fixed"] == 0.5 * (2 + 0) / 2  # of 3, the mean of 2 and 4
    assert values["gap"] == 0.5


def test_at_the_size_of_what_is_rebuilt():
    values = reconstruction_gap(lambda x: x, loss(shrink=2), [images()])
    assert values["own"] == 0 and values["gap"] == 1


@pytest.mark.parametrize("batches", [[], [images(4), images(1)]])
def test_one_image_cannot_be_compared_with_others(batches):
    with pytest.raises(UserError, match="two or more"):
        reconstruction_gap(lambda x: x, loss(), batches)
