"""The objective puts the terms of a variant together (Eq. 10), and the optimisers what it trains."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sscnb.errors import UserError
from sscnb.method.cam import classification_loss
from sscnb.method.modulation import alignment_loss
from sscnb.method.objective import build_objective, build_optimizers
from sscnb.method.perceptual import pixel_loss
from sscnb.settings.config import load_config
from sscnb.settings.variants import LADDER, VARIANTS, Variant, find_variant

SMALL = {"cam.weights": "random", "reconstruction.loss_weights": "random", "reconstruction.width": 8, "cam.crop": 64}
CONFIG = load_config("tiny", SMALL | {"reconstruction.beta": 3, "modulation.beta": 5})
TERMS = {
    "baseline": {"classification"},
    "drs": {"classification"},
    "drs+cdr_early": {"classification", "reconstruction"},
    "drs+cdr": {"classification", "reconstruction"},
    "drs+cdr+asm_no_ras": {"classification", "reconstruction", "alignment"},
    "ssc": {"classification", "reconstruction", "alignment"},
    "cdr_l1": {"classification", "reconstruction"},
    "cdr_l2": {"classification", "reconstruction"},
}


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(2, 3)
    labels[0, 1] = labels[1, 0] = labels[1, 2] = 1
    superpixels = (torch.arange(64)[:, None] // 16 * 4 + torch.arange(64) // 16).expand(2, 64, 64).contiguous()
    return {"image": torch.randn(2, 3, 64, 64, generator=generator), "labels": labels, "superpixels": superpixels}


def objective_of(name, config=CONFIG):
    torch.manual_seed(0)
    parts, config = find_variant(name, config)
    return build_objective(config, parts, 3), config


@pytest.mark.parametrize("name", TERMS)
def test_terms_and_their_weights(name, batch):
    objective, config = objective_of(name)
    losses = objective(batch, epoch=1)  # behind tiny's one warm-up epoch
    assert set(losses) == {"loss", *TERMS[name]}
    expected = losses["classification"]
    expected = expected + 3 * losses.get("reconstruction", 0) + 5 * losses.get("alignment", 0)
    torch.testing.assert_close(losses["loss"], expected)
    losses["loss"].backward()
    assert objective.net.classifier.weight.grad.abs().sum() > 0


def test_the_image_is_rebuilt_once_the_classifier_has_settled(batch):
    objective, _ = objective_of("drs+cdr@reconstruction.warmup_epochs=2")
    losses = objective(batch, epoch=1)
    assert losses["reconstruction"] == 0 and losses["loss"] == losses["classification"]
    losses["loss"].backward()
    assert all(p.grad is None for p in objective.decoder.parameters())  # so that its optimiser leaves it alone
    assert objective(batch, epoch=2)["reconstruction"] > 0


@pytest.mark.parametrize("name", ["drs+cdr", "drs+cdr_early", "cdr_l2"])
def test_a_smaller_picture_is_compared_with_mean_colours(batch, name):
    objective, _ = objective_of(f"{name}@reconstruction.shrink=4")
    with torch.no_grad():
        losses, rebuilt = objective(batch, epoch=0), objective.eval().rebuild(batch["image"])
        small, image = F.avg_pool2d(rebuilt, 4), F.avg_pool2d(batch["image"], 4)
        assert rebuilt.shape == batch["image"].shape
        torch.testing.assert_close(F.interpolate(small, scale_factor=4), rebuilt)  # as the decoder writes it
        loss = objective.reconstruction_loss(small, batch["image"])
        expected = (
            F.mse_loss(small, image)
            if name == "cdr_l2"
            else objective.perceptual(small, objective.perceptual.features(image))
        )
    torch.testing.assert_close(loss, expected)
    assert losses["reconstruction"] > 0


def test_all_variants_are_covered():
    assert set(TERMS) == set(VARIANTS) >= set(LADDER)


def test_the_terms_are_what_the_equations_say(batch):
    objective, config = objective_of("ssc")
    losses = objective(batch, epoch=1)
    logits, features = objective.net(batch["image"])
    torch.testing.assert_close(losses["classification"], classification_loss(logits, batch["labels"]))
    aligned = alignment_loss(features, batch["superpixels"], batch["labels"], threshold=0.3, erosion=2, select=True)
    torch.testing.assert_close(losses["alignment"], aligned)
    rebuilt = objective.decoder(features)
    expected = objective.perceptual(rebuilt, objective.perceptual.targets(batch["image"]))
    torch.testing.assert_close(losses["reconstruction"], expected)
    torch.testing.assert_close(objective.rebuild(batch["image"]), rebuilt)


def test_nothing_is_rebuilt_without_a_decoder(batch):
    with pytest.raises(UserError, match="has no decoder"):
        objective_of("drs")[0].rebuild(batch["image"])


@pytest.mark.parametrize(("name", "kind"), [("cdr_l1", "l1"), ("cdr_l2", "l2")])
def test_pixel_losses(name, kind, batch):
    objective, _ = objective_of(name)
    rebuilt = objective.rebuild(batch["image"])
    assert objective.perceptual is None
    torch.testing.assert_close(objective(batch, 0)["reconstruction"], pixel_loss(rebuilt, batch["image"], kind))


@pytest.mark.parametrize("name", ["drs+cdr", "drs+cdr_early"])
@pytest.mark.parametrize("stride", [16, 32])
def test_what_is_rebuilt_has_the_images_size(name, stride, batch):
    objective, _ = objective_of(name, load_config("tiny", SMALL | {"cam.output_stride": stride}))
    assert objective.rebuild(batch["image"]).shape == batch["image"].shape


def test_rebuilding_without_a_class_is_rebuilding_from_features_that_lack_it(batch):
    objective, _ = objective_of("drs+cdr")
    _, features = objective.net(batch["image"])
    lacking = features.clone()
    lacking[:, [0, 2]] = 0
    torch.testing.assert_close(objective.rebuild(batch["image"], without=[0, 2]), objective.decoder(lacking))
    assert not torch.allclose(objective.rebuild(batch["image"], without=[1]), objective.decoder(features))


def test_alignment_waits_for_the_warm_up(batch):
    objective, _ = objective_of("ssc@modulation.warmup_epochs=2")
    for epoch in (0, 1):
        losses = objective(batch, epoch)
        assert losses["alignment"] == 0
        torch.testing.assert_close(losses["loss"], losses["classification"] + 3 * losses["reconstruction"])
    assert objective(batch, 2)["alignment"] > 0


def test_suppression_is_a_part_of_the_network():
    assert objective_of("baseline")[0].net.suppression is None
    assert objective_of("drs@cam.delta=0.4")[0].net.suppression.delta == 0.4


def test_for_a_checkpoint_no_loss_network_is_built():
    parts, config = find_variant("ssc", CONFIG)
    objective = build_objective(config, parts, 3, trained=True)
    assert objective.perceptual is None and objective.decoder is not None


# --- optimisers ----------------------------------------------------------------------------------------------------


def names_of(objective, parameters):
    wanted = {id(p) for p in parameters}
    return {name for name, p in objective.named_parameters() if id(p) in wanted}


def test_every_trained_parameter_is_in_one_group_and_no_other():
    objective, config = objective_of("ssc")
    optimizers = build_optimizers(objective, config)
    listed = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert len(listed) == len({id(p) for p in listed})
    assert names_of(objective, listed) == {n for n, p in objective.named_parameters() if p.requires_grad}
    assert not any(n.startswith("perceptual.") for n in names_of(objective, listed))
    frozen = ("net.backbone.stages.0.", "net.backbone.stages.1.", "net.backbone.stages.2.")
    assert not any(n.startswith(frozen) for n in names_of(objective, listed))


def test_rates():
    changes = {"cam.lr_backbone": 0.3, "cam.lr_classifier": 0.7, "cam.momentum": 0.8, "cam.weight_decay": 0.01}
    objective, config = objective_of("drs+cdr", load_config("tiny", SMALL | changes | {"reconstruction.lr": 0.002}))
    sgd, adam = build_optimizers(objective, config)
    backbone, classifier = sgd.param_groups
    assert type(sgd) is torch.optim.SGD and type(adam) is torch.optim.Adam
    assert names_of(objective, classifier["params"]) == {"net.classifier.weight"}
    assert (backbone["lr"], classifier["lr"]) == (0.3, 0.7)
    assert all((g["momentum"], g["weight_decay"]) == (0.8, 0.01) for g in (backbone, classifier))
    assert adam.param_groups[0]["lr"] == 0.002 and tuple(adam.param_groups[0]["betas"]) == (0.5, 0.999)
    assert all(n.startswith("decoder.") for n in names_of(objective, adam.param_groups[0]["params"]))


def test_with_everything_frozen_the_classifier_still_trains():
    objective, config = objective_of("baseline", load_config("tiny", SMALL | {"cam.detach": 4}))
    (sgd,) = build_optimizers(objective, config)
    assert len(sgd.param_groups) == 1 and not any(p.requires_grad for p in objective.net.backbone.parameters())


def test_statistics_stay_frozen_in_training():
    objective, _ = objective_of("baseline")
    objective.train()
    norms = [m for m in objective.net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)


# --- names of variants ---------------------------------------------------------------------------------------------


def test_a_variants_name_carries_changes():
    parts, config = find_variant("ssc@modulation.beta=0.5,cam.epochs=3,inference.flip=false", CONFIG)
    assert parts is VARIANTS["ssc"] and isinstance(parts, Variant)
    assert (config.modulation.beta, config.cam.epochs, config.inference.flip) == (0.5, 3, False)
    assert find_variant("ssc", CONFIG)[1] == CONFIG


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scc", "there is no variant 'scc'; did you mean 'ssc'"),
        ("ssc@modulation.betta=1", "there is no setting 'modulation.betta'; did you mean 'modulation.beta'"),
        ("ssc@modulation.beta", "expected setting=value behind the @, not 'modulation.beta'"),
        ("ssc@cam.backbone=vgg16", "expected setting=value behind the @, not 'cam.backbone=vgg16'"),
        ("ssc@modulation.beta=true", "setting 'modulation.beta' is True; it should be a valid number"),
        ("ssc@data.train_split=1", "not 'data.train_split'"),
        ("ssc@superpixels.max_regions=8", "not 'superpixels.max_regions'"),
    ],
)
def test_wrong_names(name, expected):
    with pytest.raises(UserError) as caught:
        find_variant(name, CONFIG)
    assert expected in str(caught.value)
