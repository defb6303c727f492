"""L_p of pictures made on purpose: colours of cells against means by hand, distances against the loss itself."""

import pytest
import torch
from torch import nn

from sscnb.method.perceptual import PerceptualLoss
from sscnb.method.reach import mean_colours, mean_distances


class Pixels(nn.Module):
    """A loss network of one stage that sees the pixels themselves."""

    def forward(self, images, tap=None):
        return [tap(images, 0, 0, True)]


LOSS = PerceptualLoss(Pixels(), stages=1)  # its one stage has weight 1/2


def test_mean_colours_are_the_cells_means_at_their_centres():
    images = torch.arange(2 * 3 * 6 * 9, dtype=torch.float64).view(2, 3, 6, 9)
    made = mean_colours(images, 3)
    assert made.shape == images.shape
    for y in (1, 4):
        for x in (1, 4, 7):
            cell = images[:, :, y - 1 : y + 2, x - 1 : x + 2].mean(dim=(2, 3))
            torch.testing.assert_close(made[:, :, y, x], cell)


def test_one_colour_and_cells_of_a_pixel_change_nothing():
    flat = torch.full((1, 3, 8, 8), 0.25)
    torch.testing.assert_close(mean_colours(flat, 4), flat)
    image = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mean_colours(image, 1), image)


def test_distances_are_means_over_images_in_the_order_of_the_names():
    images = [torch.full((1, 3, 2, 2), 1.0), torch.full((1, 3, 4, 2), 3.0, requires_grad=True)]
    made = mean_distances(LOSS, iter(images), {"itself": lambda x: x, "nothing": torch.zeros_like})
    assert list(made.items()) == [("itself", 0.0), ("nothing", pytest.approx((0.5 * 1 + 0.5 * 3) / 2))]
