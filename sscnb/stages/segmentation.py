"""Stage of chapter 6: train the segmentation network on pseudo-masks or true masks."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from sscnb.datasets import Dataset
from sscnb.errors import UserError
from sscnb.files import read_json
from sscnb.locks import locks_given_back
from sscnb.networks import (
    UNTRUSTED,
    Schedule,
    TrainingImages,
    device_name,
    fit,
    folded,
    load_checkpoint,
    load_state,
    placed,
)
from sscnb.segmentation import (
    CoTrainingObjective,
    DeepLabV2,
    SegmentationObjective,
    TwoNets,
    build_deeplab,
    build_optimizer,
)
from sscnb.settings import PRESETS, SegmentationSettings, find_variant, override, settings_dict, settings_hash
from sscnb.stages.run import Run
from sscnb.stages.stage import NotFinished, Result, Stage

TRUTH = "truth"  # the source that is no variant: true masks, for the upper bound
INFERENCE = ("test_size", "test_scales", "interpolation", "flip", "fuse", "crf")
NOTEBOOK = "06_segmentation_training"


def segmentation_stage(run: Run, source: str, seed: int, crf: str = "") -> Stage:
    """Describe the training of a segmentation network: where it lies and which settings and masks it depends on.

    Raises:
        UserError: an unknown source, or masks that are not there yet.
    """
    if source != TRUTH:
        find_variant(source, run.config)
    settings = settings_dict(run.config.segmentation)
    for name in ("workers", "on_train", *INFERENCE):
        settings.pop(name)
    labels: dict[str, Any]
    if source == TRUTH:
        masks, labels = settings_hash([run.data_hash(), run.masks_hash(run.config.data.train_split)]), {}
    else:
        folder = run.irn_folder(source, seed, crf) / "pseudo_masks"
        masks, labels = run.done_hash(folder, "05_irn_refinement"), {"pseudo_crf": crf or run.config.irn.crf}
    labels |= {"variant": source, "seed": seed, "backbone": run.config.segmentation.backbone}
    settings = {"segmentation": settings, "source": source, "masks": masks}
    return run.stage(run.segmentation_folder(source, seed, crf), "segmentation", settings, **labels)


@locks_given_back()
def train_segmentation(run: Run, source: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Train the segmentation network; goes on from the last whole epoch after an interruption.

    Args:
        source: a variant of the CAM network, whose pseudo-masks are learned from, or "truth": the true masks of the
            training images that have one. That is full supervision, the upper bound, and nothing else reads them.
        crf: which of the variant's pseudo-masks, as in `irn.crf`.

    Raises:
        UserError: the masks are missing, or an unknown source.
    """
    seed = run.seed if seed is None else seed
    stage = segmentation_stage(run, source, seed, crf)
    if stage.done():
        return stage.load()
    settings, dataset = run.config.segmentation, run.dataset()
    data = _training_images(run, dataset, source, seed, crf)
    stage.begin()
    torch.manual_seed(seed)
    objective, optimizers = build_segmentation(settings, len(dataset.classes) + 1)
    history = fit(
        objective,
        optimizers,
        data,
        Schedule(
            settings.epochs,
            settings.batch_size,
            settings.power,
            settings.clip,
            precision=settings.precision,
            workers=settings.workers,
            min_lr=settings.min_lr,
        ),
        seed=seed,
        folder=stage.folder,
        config_hash=stage.hash,
        title=f"segmentation from {source}, random seed {seed}",
    )
    values = {f"train_{name}": value for name, value in history[-1].items() if name not in ("epoch", "seconds")}
    values |= {"train_images": len(data), "train_seconds": sum(epoch["seconds"] for epoch in history)}
    # Whoever predicts from this folder alone needs the classes and how to look at an image.
    return stage.finish(
        values,
        device=device_name(),
        files=[stage.folder / "checkpoint.pt"],
        history=history,
        classes=list(dataset.classes),
        segmentation=settings_dict(settings),
    )


def build_segmentation(
    settings: SegmentationSettings, num_labels: int
) -> tuple[SegmentationObjective | CoTrainingObjective, list[Optimizer]]:
    """Build the network, or the two of co-training, with their loss, and the optimiser that trains them."""
    net = build_net(settings, num_labels)
    if isinstance(net, TwoNets):
        return CoTrainingObjective(net, settings), [build_optimizer([net.first, net.second], settings)]
    return SegmentationObjective(net), [build_optimizer([net], settings)]


def build_net(settings: SegmentationSettings, num_labels: int, *, weights: str | None = None) -> DeepLabV2 | TwoNets:
    """Build one network, or the two of co-training; `weights` replaces the settings'."""
    first = build_deeplab(settings, num_labels, weights=weights)
    if settings.method == "single":
        return first
    return TwoNets(first, build_deeplab(settings, num_labels, weights=weights))


def load_segmentation(run: Run, source: str, seed: int, crf: str = "") -> nn.Module:
    """Load a run's trained network, in evaluation mode on the device that is there.

    Raises:
        UserError: it has not been trained, or with other settings.
    """
    stage = segmentation_stage(run, source, seed, crf)
    if not stage.done():
        raise NotFinished(f"{stage.folder} has no trained network: run notebook {NOTEBOOK} first.")
    return load_net(stage.folder, run.config.segmentation, len(run.dataset().classes) + 1, stage.hash)


def load_net(folder: Path, settings: SegmentationSettings, num_labels: int, config_hash: str) -> nn.Module:
    """Load a trained network, the last checkpoint, in evaluation mode on the device that is there.

    Raises:
        UserError: the checkpoint is missing, damaged, or of another configuration.
    """
    path = folder / "checkpoint.pt"
    state = load_checkpoint(path, config_hash)["model"]
    objective, net = nn.Module(), build_net(settings, num_labels, weights="random")
    objective.net = net
    load_state(objective, state, path)
    return placed(folded(net))


def load_network(folder: Path) -> tuple[nn.Module, SegmentationSettings, list[str]]:
    """Return a network in evaluation mode with its settings and classes, from its folder alone.

    Raises:
        UserError: a file is missing or damaged.
    """
    path = folder / "results.json"
    results = read_json(path, {"segmentation": dict, "classes": list})
    if not all(isinstance(name, str) for name in results["classes"]):
        raise UserError(f"{path} names classes that are no texts. Delete it and run the stage again.")
    try:
        settings, classes = settings_from(results["segmentation"]), results["classes"]
    except UserError as error:
        raise UserError(f"{path}: {error} Delete it and run the stage again.") from error
    config_hash = read_json(folder / "settings.json", {"hash": str})["hash"]
    return load_net(folder, settings, len(classes) + 1, config_hash), settings, classes


def settings_from(values: dict[str, Any]) -> SegmentationSettings:
    """Return the settings that a network was trained with, from the JSON beside it."""
    return override(PRESETS["voc"], {f"segmentation.{name}": value for name, value in values.items()}).segmentation


def _training_images(run: Run, dataset: Dataset, source: str, seed: int, crf: str) -> TrainingImages:
    settings = run.config.segmentation
    ids = dataset.ids(run.config.data.train_split)
    trust = None
    if source == TRUTH:
        ids = [i for i in ids if dataset.mask_path(i).is_file()]
        if not ids:
            raise UserError(f"{dataset.root} has no true masks of training images: there is no upper bound to train.")
        masks = dataset.mask_path(ids[0]).parent
    else:
        folder = run.irn_folder(source, seed, crf)
        masks = folder / "pseudo_masks"
        if settings.confidence or settings.method == "cotrain":
            trust = folder / "confidence"
    if len(dataset.classes) >= UNTRUSTED:
        raise UserError(f"{dataset.root} has {len(dataset.classes)} classes; segmentation takes up to {UNTRUSTED - 1}.")
    sizes: dict[str, Any]
    if settings.crops == "area":
        sizes = {"area_range": settings.area, "ratio_range": settings.ratio}
    elif settings.long_side:
        sizes = {"resize_range": tuple(round(factor * settings.long_side) for factor in settings.scale)}
    else:
        sizes = {"scale_range": settings.scale}
    return TrainingImages(
        dataset,
        ids,
        **sizes,
        color=settings.color,
        crop=settings.crop,
        seed=seed,
        mask_folder=masks,
        confidence_folder=trust,
    )
