"""Inference of segmentation: sizes, scales, mirror images, mean and maximum, the CRF."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from sscnb.errors import UserError
from sscnb.networks.tensors import to_tensor
from sscnb.refinement.crf import refine_probabilities
from sscnb.segmentation import inference
from sscnb.segmentation.deeplab import build_deeplab
from sscnb.segmentation.inference import predict_mask, segment_image, strongest
from sscnb.settings import SegmentationSettings
from sscnb.settings.presets import PRESETS

LITE = replace(
    PRESETS["tiny"].segmentation, weights="random", output_stride=16, rates=(1, 2), test_scales=(1.0,)
)  # own size, bicubic, flip, mean
RELEASED = SegmentationSettings(test_size=48, test_scales=(0.5, 1.0, 1.5), crf="none")


class Colours(nn.Module):
    """Stands in for a network: logits are linear in the mean colour of each cell."""

    stride = 4

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.0, 0, 0], [3, -2, 1], [-1, 2, 0]]))
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape[-2:]))
        return torch.einsum("lc,bchw->blhw", self.weight, F.avg_pool2d(images, 4))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)


def test_probabilities_at_the_images_own_size(image):
    net = Colours()
    found = segment_image(net, image, scales=(0.5, 1.0, 1.5), flip=True)
    assert found.shape == (3, 37, 50) and found.min() >= 0
    assert torch.allclose(found.sum(0), torch.ones(37, 50), atol=1e-5)
    assert net.sizes == [(20, 24)] * 2 + [(36, 48)] * 2 + [(56, 76)] * 2  # whole cells; 18.5 x 25, 37 x 50, 55.5 x 75


def test_products_are_rounded_only_where_the_settings_say_so(image, monkeypatch):
    net, events = Colours(), []

    @contextmanager
    def noted(precision, on):
        events.append((precision, on.type))
        yield
        events.append("as before")

    monkeypatch.setattr(inference, "products_in", noted)
    net.register_forward_hook(lambda *_: events.append("network"))
    predict_mask(net, image, replace(RELEASED, precision="tf32"))
    assert events == [("tf32", "cpu"), *["network"] * 3, "as before"]


def test_scales_and_mirror_images_are_averaged(image):
    image = image[:36, :48]
    parts = [segment_image(Colours(), image, scales=(scale,), flip=False) for scale in (0.5, 1.0)]
    both = segment_image(Colours(), image, scales=(0.5, 1.0), flip=False)
    assert torch.allclose(both, sum(parts) / 2, atol=1e-6)
    plain = segment_image(Colours(), image, flip=False)
    logits = Colours()(to_tensor(image)[None])
    expected = F.interpolate(logits, size=(36, 48), mode="bilinear", align_corners=False).softmax(1)[0]
    assert torch.allclose(plain, expected, atol=1e-6)


def test_with_flip_the_mirrored_image_gives_the_mirrored_map(image):
    net = build_deeplab(LITE, 3).eval()
    straight = segment_image(net, image)
    mirrored = segment_image(net, np.ascontiguousarray(image[:, ::-1]))
    assert torch.allclose(straight, mirrored.flip(-1), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (16, 16)])
def test_any_size(size):
    net = build_deeplab(LITE, 4).eval()
    image = np.zeros((*size, 3), np.uint8)
    assert segment_image(net, image, scales=(0.5, 1.25)).shape == (4, *size)
    mask = predict_mask(net, image, LITE)
    assert mask.shape == size and mask.dtype == np.uint8


def test_no_scale_is_refused(image):
    with pytest.raises(UserError, match="scales is empty"):
        segment_image(Colours(), image, scales=())


def test_strongest_is_the_argmax():
    torch.manual_seed(0)
    probabilities = torch.rand(5, 9, 7)
    assert np.array_equal(strongest(probabilities, (9, 7)), probabilities.argmax(0).numpy())
    larger = F.interpolate(probabilities[None], size=(31, 20), mode="bilinear", align_corners=False)[0]
    assert np.array_equal(strongest(probabilities, (31, 20)), larger.argmax(0).numpy())
    assert not strongest(torch.ones(3, 2, 2), (2, 2)).any()


def test_working_size(image):
    net = Colours()
    assert predict_mask(net, image, replace(LITE, flip=False, long_side=100)).shape == (37, 50)
    predict_mask(net, image, replace(LITE, flip=False), limit=25)
    predict_mask(net, image, replace(LITE, flip=False), limit=999)
    assert net.sizes == [(72, 100), (16, 24), (36, 48)]  # of 74 x 100, 18 x 25 and 37 x 50


def test_the_crf_refines_the_mean_probabilities(image):
    pytest.importorskip("pydensecrf")
    expected = refine_probabilities(image, segment_image(Colours(), image).numpy()).argmax(0)
    refined = predict_mask(Colours(), image, replace(LITE, crf="dense"))
    assert np.array_equal(refined, expected)
    assert not np.array_equal(refined, predict_mask(Colours(), image, LITE))


# --- as the release: a square, the maximum of the logits -----------------------------------------------------------


@torch.no_grad()
def by_hand(image, side, scales):
    """The logits of `Colours` at every scale of a square, brought back to it, and their maximum: L,side,side."""
    square = np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    parts = []
    for scale in scales:
        cells = round(side * scale / 4) * 4
        scaled = F.interpolate(to_tensor(square)[None], size=(cells, cells), mode="bilinear", align_corners=False)
        logits = Colours()(scaled)
        parts.append(F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)[0])
    return torch.stack(parts).amax(0)


def test_the_maximum_over_scales_of_a_square(image):
    net = Colours()
    mask = predict_mask(net, image, RELEASED)
    assert net.sizes == [(24, 24), (48, 48), (72, 72)]  # one pass each: no mirror images
    best = by_hand(image, 48, (0.5, 1.0, 1.5))
    full = F.interpolate(best[None], size=(37, 50), mode="bilinear", align_corners=False)[0]
    assert np.array_equal(mask, full.argmax(0).numpy())
    assert not np.array_equal(mask, predict_mask(Colours(), image, replace(RELEASED, fuse="mean")))


def test_the_maximum_is_taken_class_by_class_and_twice_the_same_scale_is_once(image):
    def scores(*scales, **options):
        return segment_image(Colours(), image, scales=scales, fuse="max", interpolation="bilinear", **options)

    one, two = scores(0.5, flip=False), scores(1.5, flip=False)
    both = scores(0.5, 1.5, flip=False)
    assert torch.equal(both, torch.maximum(one, two))
    assert not torch.equal(both, one) and not torch.equal(both, two)
    assert torch.equal(scores(0.5, 1.5, 0.5, flip=False), both)
    mirrored = segment_image(
        Colours(), image[:, ::-1].copy(), scales=(0.5,), flip=False, fuse="max", interpolation="bilinear"
    )
    assert torch.allclose(scores(0.5, flip=True), torch.maximum(one, mirrored.flip(-1)), atol=1e-5)


def test_the_crf_takes_the_softmax_of_the_maximum_at_the_images_size(image):
    pytest.importorskip("pydensecrf")
    best = by_hand(image, 48, RELEASED.test_scales)
    full = F.interpolate(best[None], size=(37, 50), mode="bilinear", align_corners=False)[0].softmax(0)
    expected = refine_probabilities(image, full.numpy()).argmax(0)
    refined = predict_mask(Colours(), image, replace(RELEASED, crf="dense"))
    assert np.array_equal(refined, expected)
    assert not np.array_equal(refined, predict_mask(Colours(), image, RELEASED))


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (90, 40)])
def test_a_square_of_any_image(size):
    mask = predict_mask(Colours(), np.full((*size, 3), 90, np.uint8), RELEASED, limit=50)
    assert mask.shape == size and len(np.unique(mask)) == 1
