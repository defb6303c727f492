"""Settings: presets, overrides, and what is said of a wrong one."""

import dataclasses
import json

import pytest

from sscnb.errors import UserError
from sscnb.settings.config import load_config, override, setting_names, settings_dict, settings_hash
from sscnb.settings.presets import PRESETS


def refusal(preset="tiny", overrides=None) -> str:
    with pytest.raises(UserError) as caught:
        load_config(preset, overrides)
    return str(caught.value)


def test_presets_know_their_names():
    assert set(PRESETS) == {"tiny", "small", "folder", "voc_animals", "voc", "voc_released", "coco"}
    assert all(load_config(name).preset == name for name in PRESETS)


def test_defaults_are_the_papers():
    config = load_config("voc")
    assert (config.cam.epochs, config.cam.batch_size, config.cam.crop, config.cam.delta) == (10, 6, 512, 0.55)
    assert (config.cam.momentum, config.cam.weight_decay, config.cam.lr_backbone) == (0.9, 1e-4, 0.1)
    assert (config.modulation.threshold, config.modulation.erosion, config.superpixels.max_regions) == (0.3, 8, 64)
    assert (config.reconstruction.beta, config.modulation.beta, config.reconstruction.lr) == (1, 1, 5e-4)
    # What the text leaves open is the release's; the small presets keep what their figures were measured with.
    places = {name: preset.cam.fidelity for name, preset in PRESETS.items()}
    assert {name for name, place in places.items() if place == "released"} == {"voc", "voc_released", "coco"}
    assert {preset.cam.precision for preset in PRESETS.values()} == {"no"}  # float32 all through
    assert {preset.irn.precision for preset in PRESETS.values()} == {"no"}
    assert config.inference.threshold == 0.2 and config.data.train_split == "train_aug"


def test_segmentation_of_the_full_size_presets():
    text, released = (load_config(name).segmentation for name in ("voc", "voc_released"))
    for settings in (text, released):  # where the text is silent
        assert (settings.method, settings.backbone, settings.weights) == ("cotrain", "resnet101", "imagenet_v2")
        assert (settings.batch_norm, settings.head_factor, settings.lr) == ("batch", 1, 0.01)
        assert (settings.crops, settings.area, settings.ratio) == ("area", (0.5, 0.75), (0.75, 4 / 3))
        assert settings.color and settings.crf == "dense"
        assert (settings.test_size, settings.interpolation, settings.flip, settings.fuse) == (
            512,
            "bilinear",
            False,
            "max",
        )
        assert set(settings.test_scales) == {0.5, 0.75, 1, 1.25, 1.5}
    assert (text.output_stride, text.epochs, text.min_lr) == (16, 80, 0)
    assert (released.output_stride, released.epochs, released.min_lr, released.precision) == (8, 100, 1e-5, "fp16")
    assert (released.divide_by, released.mix, released.contour) == ("all", "halves", "pasted")
    assert (released.mix_probability, released.mix_warmup, released.mix_certainty) == (0.5, 2, 0.95)
    assert load_config("coco").segmentation.epochs == 40


def test_relations_of_the_full_size_presets_are_the_releases_where_the_text_is_silent():
    irn = {name: load_config(name).irn for name in PRESETS}
    for name in ("voc", "voc_released", "coco"):
        assert (irn[name].momentum, irn[name].pad, irn[name].lr_edge, irn[name].lr_displacement) == (1e-4, 512, 0.1, 1)
    for name in ("tiny", "small", "folder"):
        assert (irn[name].momentum, irn[name].pad) == (0.9, 0)
    assert {name for name in PRESETS if irn[name].pairs == "released"} == {"voc_released"}
    assert {name for name in PRESETS if load_config(name).pseudo.trust == "rank"} == {"voc_released"}


def test_overrides_replace_values_and_nothing_else():
    changes = {"cam.epochs": 5, "data.scenes.size": 64, "inference.scales": [1, 0.5], "seeds": [3, 4]}
    config = load_config("tiny", changes)
    assert config.cam.epochs == 5 and config.data.scenes.size == 64 and config.seeds == (3, 4)
    assert config.inference.scales == (1.0, 0.5) and all(type(s) is float for s in config.inference.scales)
    back = override(config, {"cam.epochs": 2, "data.scenes.size": 96, "inference.scales": [1.0], "seeds": [0]})
    assert back == PRESETS["tiny"] == load_config("tiny", {})
    assert load_config("tiny", None) == load_config("tiny")


def test_numbers():
    assert load_config("tiny", {"cam.lr_backbone": 1}).cam.lr_backbone == 1.0
    assert load_config("tiny", {"cam.weight_decay": "1e-5"}).cam.weight_decay == 1e-5  # YAML's way to read 1e-5
    assert load_config("tiny", {"inference.scales": [1, 2]}).inference.scales == (1.0, 2.0)
    nested = load_config("tiny", {"data.scenes.lengths": [[0.25, 0.5]] * 3}).data.scenes.lengths
    assert nested == ((0.25, 0.5),) * 3


@pytest.mark.parametrize("part", ["cam", "irn", "segmentation"])
def test_precisions_are_named(part):
    assert getattr(load_config("tiny", {f"{part}.precision": "bf16"}), part).precision == "bf16"
    for wrong in ("auto", "fp32"):
        text = refusal("tiny", {f"{part}.precision": wrong})
        assert f"setting '{part}.precision' is {wrong!r}; it should be 'no', 'tf32', 'bf16' or 'fp16'" in text


def test_unknown_preset():
    text = refusal("tinny")
    assert "there is no preset 'tinny'" in text and "'tiny'" in text
    assert "there is no preset 3; valid are 'tiny'" in refusal(3)


@pytest.mark.parametrize(
    ("key", "offered"),
    [
        ("cam.epoch", "'cam.epochs'"),
        ("cam", "'cam.crop'"),
        ("epochs", "'cam.epochs'"),
        ("camm.epochs", "'cam.epochs'"),
        ("data.scenes.sise", "'data.scenes.size'"),
        ("cam.epochs.x", "'cam.epochs'"),
        ("data.scenes", "'data.scenes.size'"),
        ("preset", "'cam.resize'"),
        ("", "valid are"),
    ],
)
def test_unknown_key(key, offered):
    text = refusal("tiny", {key: 3})
    assert f"there is no setting {key!r}" in text
    phrase = text.partition("; ")[2]
    assert offered in phrase and "'preset'" not in phrase


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("cam.epochs", 2.0, "a valid integer"),
        ("cam.epochs", "2", "a valid integer"),
        ("cam.epochs", True, "a valid integer"),
        ("cam.epochs", None, "a valid integer"),
        ("cam.lr_backbone", "fast", "a valid number"),
        ("cam.lr_backbone", True, "a valid number"),
        ("cam.lr_backbone", float("nan"), "a finite number"),
        ("cam.lr_backbone", float("inf"), "a finite number"),
        ("cam.backbone", 50, "'resnet50', "),
        ("inference.flip", 1, "a valid boolean"),
        ("inference.scales", 1.0, "a valid array"),
        ("inference.scales", ["a"], "a valid number"),
        ("cam.resize", [1.5, 2], "a valid integer"),
        ("variants", "baseline", "a valid array"),
    ],
)
def test_value_of_another_type(key, value, wanted):
    with pytest.raises(UserError) as caught:
        load_config("tiny", {key: value})
    assert str(caught.value).startswith(f"setting '{key}") and f"it should be {wanted}" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cam.epochs", 0),
        ("cam.batch_size", -1),
        ("cam.crop", 0),
        ("cam.crop", 100),
        ("cam.resize", [120, 88]),
        ("cam.resize", [0, 88]),
        ("inference.scales", []),
        ("inference.scales", [1, 0]),
        ("inference.batch_size", 0),
        ("irn.crf", "yes"),
        ("irn.foreground", 1.1),
        ("irn.background", 0.5),
        ("irn.radius", 1),
        ("irn.pairs", "all"),
        ("irn.momentum", 1.0),
        ("irn.pad", -1),
        ("irn.scale", [1.5, 0.5]),
        ("pseudo.beta", 0),
        ("pseudo.steps", -1),
        ("pseudo.keep", 0),
        ("pseudo.trust", "best"),
        ("pseudo.threshold", 2),
        ("seeds", []),
        ("seeds", [-1]),
        ("data.source", "scene"),
        ("cam.lr_backbone", -0.1),
        ("cam.momentum", 5),
        ("cam.power", -3),
        ("cam.clip", -1),
        ("cam.delta", -2),
        ("cam.detach", 7),
        ("cam.output_stride", 0),
        ("cam.fidelity", "papers"),
        ("inference.threshold", 7),
        ("inference.long_side", -5),
        ("inference.scales", [1e-9]),
        ("superpixels.max_regions", 0),
        ("modulation.beta", -5),
        ("reconstruction.width", 12),
        ("segmentation.area", [0.5, 1.5]),
        ("segmentation.fuse", "least"),
        ("seeds", [0, 0]),
        ("variants", []),
        ("variants", ["drs", "drs"]),
        ("data.train_split", "../train"),
    ],
)
def test_value_that_means_nothing(key, value):
    with pytest.raises(UserError, match="it should|should match") as caught:
        load_config("tiny", {key: value})
    assert f"setting '{key}" in str(caught.value)


@pytest.mark.parametrize("overrides", ["cam.epochs=2", [1], 3, "", [], 0, False])
def test_overrides_that_are_no_dict(overrides):
    with pytest.raises(UserError, match="overrides must be a dict"):
        load_config("tiny", overrides)


def test_names_reach_every_setting():
    names = setting_names(PRESETS["tiny"])
    assert "cam.epochs" in names and "data.scenes.size" in names and len(names) == len(set(names))
    nested = settings_dict(PRESETS["tiny"])
    for name in names:
        value = nested
        for part in name.split("."):
            value = value[part]
        assert not isinstance(value, dict)
        if name != "preset":  # each can be set to what it is
            assert override(PRESETS["tiny"], {name: value}) == PRESETS["tiny"]


def test_hash_tells_settings_apart_and_knows_no_order():
    config = load_config("tiny")
    hashes = {settings_hash(settings_dict(config))}
    assert settings_hash(dict(reversed(settings_dict(config).items()))) in hashes
    for key, value in {"cam.epochs": 3, "cam.delta": 0.5, "inference.flip": False, "data.scenes.seed": 1}.items():
        hashes.add(settings_hash(settings_dict(override(config, {key: value}))))
    assert len(hashes) == 5 and all(len(h) == 12 for h in hashes)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_overriding_a_setting_by_its_own_value_changes_no_hash(preset):
    """A float whose default is written as an integer would make another run of the same settings."""
    config = PRESETS[preset]
    same = override(config, {"seeds": list(config.seeds)})
    assert json.dumps(settings_dict(same)) == json.dumps(settings_dict(config))


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["tiny"].cam.epochs = 3
