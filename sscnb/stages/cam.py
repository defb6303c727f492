"""Stages of chapter 02: train a variant's CAM network and store its CAMs."""

from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sscnb.datasets import Dataset, Sample, image_size, resize_long
from sscnb.evaluation import image_accuracy, mean_average_precision
from sscnb.files import replacing
from sscnb.method import CAMNet, Objective, build_objective, build_optimizers, class_activation, multi_scale_activation
from sscnb.networks import (
    Schedule,
    TrainingImages,
    device,
    device_name,
    fit,
    load_checkpoint,
    load_state,
    placed,
    to_tensor,
)
from sscnb.ranks import is_main, share
from sscnb.settings import InferenceSettings, find_variant, settings_dict
from sscnb.stages.run import Run
from sscnb.stages.stage import NotFinished, Result, Stage


def cam_stage(run: Run, variant: str, seed: int) -> Stage:
    """Describe the training of a variant: where it lies and which settings it depends on."""
    parts, config = find_variant(variant, run.config)
    settings: dict[str, Any] = {"cam": settings_dict(config.cam)}
    settings["data"] = run.data_hash()
    settings["cam"].pop("workers")
    if parts.reconstruction:
        settings["reconstruction"] = settings_dict(config.reconstruction)
        settings["reconstruction"].pop("checkpoint")
    if parts.modulation:
        settings["modulation"] = settings_dict(config.modulation)
        settings["superpixels"] = config.superpixels.max_regions
    return run.stage(run.cam_folder(variant, seed), "cam", settings, variant=variant, seed=seed)


def train_cam(run: Run, variant: str = "baseline", seed: int | None = None) -> Result:
    """Train the CAM network of a variant (Eq. 10); goes on from the last whole epoch after an interruption."""
    seed = run.seed if seed is None else seed
    parts, config = find_variant(variant, run.config)
    stage = cam_stage(run, variant, seed)
    if stage.done():
        return stage.load()
    dataset = run.dataset()
    superpixels = None
    if parts.modulation:
        superpixels = run.folder / "superpixels"
        run.done_hash(superpixels, "01_data_preparation")
    stage.begin()
    cam = config.cam
    data = TrainingImages(
        dataset,
        dataset.ids(config.data.train_split),
        resize_range=cam.resize,
        crop=cam.crop,
        seed=seed,
        superpixel_folder=superpixels,
    )
    torch.manual_seed(seed)
    objective = build_objective(config, parts, len(dataset.classes))
    history = fit(
        objective,
        build_optimizers(objective, config),
        data,
        Schedule(cam.epochs, cam.batch_size, cam.power, cam.clip, cam.precision, cam.workers),
        seed=seed,
        folder=stage.folder,
        config_hash=stage.hash,
        title=f"{variant} seed {seed}",
        exclude=("perceptual.",),
    )
    values = {f"train_{name}": value for name, value in history[-1].items() if name not in ("epoch", "seconds")}
    values["train_seconds"] = sum(epoch["seconds"] for epoch in history)
    checkpoint = stage.folder / "checkpoint.pt"
    return stage.finish(values, device=device_name(), files=[checkpoint], history=history)


def load_cam_net(run: Run, variant: str, seed: int) -> CAMNet:
    """Load a trained CAM network, in evaluation mode on the device that is there.

    Raises:
        UserError: it has not been trained, or with other settings.
    """
    return placed(load_objective(run, variant, seed).net)


def load_objective(run: Run, variant: str, seed: int) -> Objective:
    """Load a trained CAM network with its decoder, where the variant has one, in evaluation mode.

    Raises:
        UserError: it has not been trained, or with other settings.
    """
    stage = cam_stage(run, variant, seed)
    if not stage.done():
        raise NotFinished(f"{stage.folder} has no trained network: run notebook 02_cam_network_training first.")
    path = stage.folder / "checkpoint.pt"
    state = load_checkpoint(path, stage.hash)["model"]
    parts, config = find_variant(variant, run.config)
    objective = build_objective(config, parts, len(run.dataset().classes), trained=True)
    load_state(objective, state, path)
    return objective.eval()


def infer_cams(run: Run, variant: str = "baseline", seed: int | None = None) -> Result:
    """Store the CAMs of the training images (Eq. 1) and measure the classifier on the validation split.

    One compressed file an image: `classes` n (indices 1..C), `maps` n,ceil(H/4),ceil(W/4) float16 in [0, 1].
    """
    seed = run.seed if seed is None else seed
    trained = cam_stage(run, variant, seed)
    folder = trained.folder / "cams"
    inference = find_variant(variant, run.config)[1].inference
    settings = {k: v for k, v in settings_dict(inference).items() if k in ("scales", "flip", "long_side")}
    settings = {"inference": settings, "cam": trained.hash}
    stage = run.stage(folder, "cams", settings, variant=variant, seed=seed, split=run.config.data.val_split)
    if stage.done():
        return stage.load()
    net = load_cam_net(run, variant, seed)
    stage.begin()
    dataset, data = run.dataset(), run.config.data
    ids = list(dict.fromkeys(dataset.ids(data.train_split) + dataset.ids(data.seed_split)))
    for batch, images in _batches(dataset, ids, inference, title=f"CAMs {variant} seed {seed}", folder=folder):
        sizes = [image_size(dataset.image_path(i)) for i in batch]
        grid = (-(-sizes[0][0] // 4), -(-sizes[0][1] // 4))
        _, activation = multi_scale_activation(net, images, grid=grid, scales=inference.scales, flip=inference.flip)
        for image_id, maps in zip(batch, activation, strict=True):
            present = np.flatnonzero(dataset.labels(image_id))
            _save_cams(folder / f"{image_id}.npz", present + 1, class_activation(maps[present]))
    stage.meet()
    if not is_main():
        return stage.wait()
    values = {}
    if data.val_split in dataset.splits:
        logits, labels = [], []
        batches = _batches(dataset, dataset.ids(data.val_split), inference, title=f"classifying {variant}")
        for batch, images in batches:
            with torch.no_grad():
                logits.append(net(images)[0].float().cpu().numpy())
            labels += [dataset.labels(i) for i in batch]
        scores, truth = np.concatenate(logits), np.stack(labels)
        values = {"classifier/mAP": mean_average_precision(scores, truth)}
        values |= {f"classifier/{name}": value for name, value in image_accuracy(scores, truth).items()}
    return stage.finish(values, device=device_name(), files=[folder / f"{i}.npz" for i in ids])


def _batches(
    dataset: Dataset, ids: list[str], settings: InferenceSettings, title: str, folder: Path | None = None
) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Yield ids and normalised images of one size each; images of the same size share a batch.

    Batches whose files are all in `folder` already are left out. A half-finished one is made whole again: the last
    bits of a result depend on the size of its batch, and an interrupted run must end like one that was not. For the
    same reason several processes share the batches and not the images; without a `folder` nothing is shared.
    """
    by_size = sorted(ids, key=lambda i: (image_size(dataset.image_path(i)), i))
    batches = []
    for _, group in groupby(by_size, key=lambda i: image_size(dataset.image_path(i))):
        while batch := list(islice(group, settings.batch_size)):
            batches.append(batch)
    if folder is not None:
        batches = share(batches)
    total = sum(map(len, batches))
    with tqdm(total=total, desc=title, unit="img", mininterval=0.5, disable=not is_main()) as bar:
        for batch in batches:
            if folder is None or not all((folder / f"{i}.npz").is_file() for i in batch):
                samples = [Sample(dataset.image(i)) for i in batch]
                if settings.long_side:
                    samples = [resize_long(sample, settings.long_side) for sample in samples]
                yield batch, torch.stack([to_tensor(sample.image) for sample in samples]).to(device())
            bar.update(len(batch))


def _save_cams(path: Path, classes: np.ndarray, maps: torch.Tensor) -> None:
    with replacing(path) as temporary:
        np.savez_compressed(temporary, classes=classes.astype(np.int16), maps=maps.half().cpu().numpy())
