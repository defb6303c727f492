"""Stages of chapter 06: train the segmentation network, write its predictions, and measure them."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sscnb.datasets import Dataset
from sscnb.datasets.images import read_mask
from sscnb.datasets.palette import save_mask
from sscnb.errors import UserError
from sscnb.evaluation.boundary import BoundaryIoU
from sscnb.evaluation.failures import FailureRules, find_failures
from sscnb.evaluation.masks import ConfusionMatrix, bootstrap_interval, class_iou, defined_mean, foreground_errors
from sscnb.networks.training import Schedule, device, device_name, fit, load_checkpoint, load_state
from sscnb.networks.training_data import UNTRUSTED, TrainingImages
from sscnb.refinement.crf import require_crf
from sscnb.segmentation.cotrain import CoTrainingObjective, TwoNets
from sscnb.segmentation.deeplab import SegmentationObjective, build_deeplab, build_optimizer, predict_mask
from sscnb.settings.config import settings_dict
from sscnb.settings.schema import SegmentationSettings
from sscnb.settings.variants import find_variant
from sscnb.stages.run import Result, Run, Stage
from sscnb.stages.seeds import not_measured

TRUTH = "truth"  # the source that is no variant: true masks, for the upper bound
_INFERENCE = ("test_scales", "flip", "crf")
_NOTEBOOK = "06_segmentation_training"


def segmentation_stage(run: Run, source: str, seed: int, crf: str = "") -> Stage:
    """Describe the training of a segmentation network: where it lies and which settings and masks it depends on.

    Raises:
        UserError: an unknown source, or masks that are not there yet.
    """
    if source != TRUTH:
        find_variant(source, run.config)
    settings = settings_dict(run.config.segmentation)
    for name in ("workers", *_INFERENCE):
        settings.pop(name)
    if source == TRUTH:
        masks, labels = run.done_hash(run.folder / "data", "01_data_preparation"), {}
    else:
        folder = run.irn_folder(source, seed, crf) / "pseudo_masks"
        masks, labels = run.done_hash(folder, "05_irn_refinement"), {"pseudo_crf": crf or run.config.irn.crf}
    labels |= {"variant": source, "seed": seed, "backbone": run.config.segmentation.backbone}
    settings = {"segmentation": settings, "source": source, "masks": masks}
    return run.stage(run.segmentation_folder(source, seed, crf), "segmentation", settings, **labels)


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
    net = build_net(settings, len(dataset.classes) + 1)
    objective = CoTrainingObjective(net) if settings.method == "cotrain" else SegmentationObjective(net)
    history = fit(
        objective,
        [build_optimizer([net.first, net.second] if settings.method == "cotrain" else [net], settings)],
        data,
        Schedule(
            settings.epochs,
            settings.batch_size,
            settings.power,
            settings.clip,
            precision=settings.precision,
            workers=settings.workers,
        ),
        seed=seed,
        folder=stage.folder,
        config_hash=stage.hash,
        title=f"segmentation from {source} seed {seed}",
    )
    values = {f"train_{name}": value for name, value in history[-1].items() if name not in ("epoch", "seconds")}
    values |= {"train_images": len(data), "train_seconds": sum(epoch["seconds"] for epoch in history)}
    # Whoever predicts from this folder alone needs the classes and how to look at an image.
    return stage.finish(
        values,
        device=device_name(),
        history=history,
        classes=list(dataset.classes),
        segmentation=settings_dict(settings),
    )


def build_net(settings: SegmentationSettings, num_labels: int, *, weights: str | None = None) -> nn.Module:
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
        raise UserError(f"{stage.folder} has no trained network: run notebook {_NOTEBOOK} first.")
    return load_net(stage.folder, run.config.segmentation, len(run.dataset().classes) + 1, stage.hash)


def load_net(folder: Path, settings: SegmentationSettings, num_labels: int, config_hash: str) -> nn.Module:
    """Load a trained network, the last checkpoint, in evaluation mode on the device that is there.

    Raises:
        UserError: the checkpoint is missing, damaged, or of another configuration.
    """
    path = folder / "checkpoint.pt"
    state = load_checkpoint(path, config_hash)["model"]
    objective = nn.Module()
    objective.net = build_net(settings, num_labels, weights="random")
    load_state(objective, state, path)
    return objective.net.eval().to(device(), memory_format=torch.channels_last)


def predict_split(
    run: Run, source: str = "baseline", seed: int | None = None, split: str = "", crf: str = ""
) -> Result:
    """Write the predictions of a split's images as palette PNGs; an image that has its file already is left alone.

    Args:
        source, crf: as for `train_segmentation`.
        split: the validation split; where there is none, the training split.

    Raises:
        UserError: the network has not been trained, or the dense CRF is asked for and not installed.
    """
    seed = run.seed if seed is None else seed
    stage = _prediction_stage(run, source, seed, split, crf)
    if stage.done():
        return stage.load()
    settings, dataset = run.config.segmentation, run.dataset()
    if settings.crf == "dense":
        require_crf()
    net = load_segmentation(run, source, seed, crf)
    stage.begin()
    ids = dataset.ids(stage.labels["split"])
    for image_id in tqdm(ids, desc=f"predictions from {source} seed {seed}", unit="img", mininterval=0.5):
        path = stage.folder / f"{image_id}.png"
        if not path.is_file():
            save_mask(path, predict_mask(net, dataset.image(image_id), settings))
    return stage.finish({"predicted/images": len(ids)}, device=device_name())


def evaluate_segmentation(
    run: Run, source: str = "baseline", seed: int | None = None, split: str = "", crf: str = ""
) -> Result:
    """Measure the predictions of a split against the true masks.

    Rows: mIoU with its 95 % bootstrap interval over images, pixel accuracy, foreground errors, boundary IoU and the IoU
    of every class. Fields: `counts` (confusion), each image's mIoU in `images`, and the failure cases by rule.

    Raises:
        UserError: there are no predictions yet, or some images of the split have a mask and others not.
    """
    seed = run.seed if seed is None else seed
    predicted = _prediction_stage(run, source, seed, split, crf)
    rules = FailureRules()
    folder = predicted.folder.with_name(predicted.folder.name.replace("predictions", "evaluation"))
    settings = {"predictions": run.done_hash(predicted.folder, _NOTEBOOK), "failures": settings_dict(rules)}
    stage = run.stage(folder, "segmentation_evaluation", settings, **predicted.labels)
    if stage.done() and "note" not in stage.load():
        return stage.load()
    dataset, split = run.dataset(), predicted.labels["split"]
    if not dataset.has_masks(split):
        return not_measured(stage, dataset, split)
    stage.begin()
    number, ids = len(dataset.classes) + 1, dataset.ids(split)
    boundary, failures = BoundaryIoU(number), []
    counts = np.zeros((len(ids), number, number), np.int32)  # of one image each; int64 would be 2 GB on COCO
    for index, image_id in enumerate(tqdm(ids, desc=f"measuring {source} seed {seed}", unit="img", mininterval=0.5)):
        prediction, target = read_prediction(predicted.folder, image_id), dataset.mask(image_id)
        matrix = ConfusionMatrix(number)
        matrix.update(prediction, target)
        counts[index] = matrix.counts
        boundary.update(prediction, target)
        failures += [(image_id, failure) for failure in find_failures(prediction, target, rules)]
    total = counts.sum(0, dtype=np.int64)
    own = defined_mean(class_iou(counts))
    low, high = bootstrap_interval(counts)
    values = {"mIoU": float(defined_mean(class_iou(total))), "mIoU_low": low, "mIoU_high": high}
    values |= {"accuracy": float(np.trace(total) / total.sum())} | foreground_errors(total)
    values |= {"boundary_IoU": boundary.miou()}
    names = ("background", *dataset.classes)
    values |= {f"IoU/{name}": v for name, v in zip(names, class_iou(total), strict=True)}
    return stage.finish(
        {f"segmentation/{name}": value for name, value in values.items()},
        counts=total.tolist(),
        boundary_iou=[None if v != v else float(v) for v in boundary.iou()],
        images={i: None if v != v else round(float(v), 4) for i, v in zip(ids, own, strict=True)},
        failures=[{"id": image_id, **failure} for image_id, failure in sorted(failures, key=_rank)],
    )


def read_prediction(folder: Path, image_id: str) -> np.ndarray:
    """Read a prediction, H,W uint8.

    Raises:
        UserError: it is missing or damaged; says what to delete.
    """
    try:
        return read_mask(folder / f"{image_id}.png")
    except UserError as error:
        raise UserError(f"{error} Delete it and {folder / 'results.json'}, and run the stage again.") from error


def _rank(item: tuple[str, dict]) -> tuple:
    image_id, failure = item
    return failure["kind"], -failure["share"], image_id, failure["class"]


def _prediction_stage(run: Run, source: str, seed: int, split: str, crf: str) -> Stage:
    trained = segmentation_stage(run, source, seed, crf)
    if not trained.done():
        raise UserError(f"{trained.folder} has no trained network: run notebook {_NOTEBOOK} first.")
    settings, data = settings_dict(run.config.segmentation), run.config.data
    own = data.val_split if data.val_split in run.dataset().splits else data.train_split
    split = split or own
    folder = trained.folder / ("predictions" if split == own else f"predictions_{split}")
    inference = {name: settings[name] for name in _INFERENCE}
    values = {"inference": inference, "split": split, "network": trained.hash}
    return run.stage(folder, "predictions", values, **trained.labels, split=split, crf=settings["crf"])


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
    if settings.long_side:
        sizes = {"resize_range": tuple(round(factor * settings.long_side) for factor in settings.scale)}
    else:
        sizes = {"scale_range": settings.scale}
    return TrainingImages(
        dataset, ids, **sizes, crop=settings.crop, seed=seed, mask_folder=masks, confidence_folder=trust
    )
