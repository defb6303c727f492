"""Stages of chapter 2: train a variant's CAM network and store its CAMs."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sscnb.datasets import Dataset, image_size, inner_size, pyramid
from sscnb.evaluation import image_accuracy, mean_average_precision
from sscnb.files import replacing
from sscnb.locks import locks_given_back
from sscnb.method import CAMNet, Objective, build_objective, build_optimizers, scale_maps
from sscnb.networks import (
    Schedule,
    TrainingImages,
    Trunk,
    device,
    device_name,
    fit,
    folded,
    load_checkpoint,
    load_state,
    placed,
    products_in,
    to_tensor,
)
from sscnb.ranks import is_main, share
from sscnb.settings import Config, InferenceSettings, find_variant, refined_variants, settings_dict, trunk_ends, trunks
from sscnb.stages.gap import gap_observer, measure_gap
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
        settings["superpixels"] = config.superpixels.folder or config.superpixels.max_regions
    return run.stage(run.cam_folder(variant, seed), "cam", settings, variant=variant, seed=seed)


@locks_given_back()
def train_cam(run: Run, variant: str = "baseline", seed: int | None = None) -> Result:
    """Train the CAM network of a variant (Eq. 10); goes on from the last whole epoch after an interruption.

    Where another variant's training, the same until some epoch, is there, it begins with that: the result is equal to
    the bit, and so are the seconds, those of the epochs that were taken over among them.
    """
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
        title=f"{variant}, random seed {seed}",
        exclude=("perceptual.",),
        observe=gap_observer(run, objective, config),
        trunk=_trunk(run, variant, seed),
        keep=trunk_ends(config),
    )
    names = dict.fromkeys(name for epoch in reversed(history) for name in epoch)
    history = [{name: epoch.get(name, 0.0) for name in names if name in epoch or name != "gap"} for epoch in history]
    values = {f"train_{name}": value for name, value in history[-1].items() if name not in ("epoch", "seconds", "gap")}
    values["train_seconds"] = sum(epoch["seconds"] for epoch in history)
    values |= measure_gap(run, objective, config)
    checkpoint = stage.folder / "checkpoint.pt"
    return stage.finish(values, device=device_name(), files=[checkpoint], history=history)


def _trunk(run: Run, variant: str, seed: int) -> Trunk | None:
    """Return what the training of a variant may begin with, where it is there."""
    decoder = bool(find_variant(variant, run.config)[0].reconstruction)
    for name, epochs in trunks(variant, run.config):
        stage = cam_stage(run, name, seed)
        path = stage.folder / f"after{epochs}.pt"
        if path.is_file():
            has_one = bool(find_variant(name, run.config)[0].reconstruction)
            return Trunk(path, stage.hash, epochs, lacks=("decoder",) if decoder and not has_one else ())
    return None


def load_cam_net(run: Run, variant: str, seed: int) -> CAMNet:
    """Load a trained CAM network, in evaluation mode on the device that is there.

    Raises:
        UserError: it has not been trained, or with other settings.
    """
    return placed(folded(load_objective(run, variant, seed).net))


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


@locks_given_back()
def infer_cams(run: Run, variant: str = "baseline", seed: int | None = None) -> Result:
    """Store the maps that images' CAMs (Eq. 1) are made of, and measure the classifier on `val`.

    One compressed file an image, for its n classes: `classes` n (indices 1..C); `maps` n,N float32, rectified maps of
    all scales at the network's own stride, one after the other; `grids` their heights and widths; `size` H,W of the
    image that the network saw at scale 1; `stride`. `load_cams` and `load_grid_cams` make activations of them. Four
    scales take about as much as one map of a quarter of each side in half precision would.
    """
    seed = run.seed if seed is None else seed
    trained = cam_stage(run, variant, seed)
    folder = trained.folder / "cams"
    config = find_variant(variant, run.config)[1]
    inference = config.inference
    settings = {k: v for k, v in settings_dict(inference).items() if k in ("scales", "flip", "long_side")}
    settings = {"inference": settings, "cam": trained.hash}
    stage = run.stage(folder, "cams", settings, variant=variant, seed=seed, split=run.config.data.val_split)
    ids = _ids_with_cams(run, variant)
    if stage.done() and stage.load()["files"].keys() >= {f"{i}.npz" for i in ids}:  # earlier ones lack those of `val`
        return stage.load()
    net = load_cam_net(run, variant, seed)
    stage.begin()
    with products_in(config.cam.precision, device()):
        files = _write_cams(run, net, ids, folder, config, f"CAMs {variant}, random seed {seed}")
        stage.meet()
        if not is_main():
            return stage.wait()
        values = _classify(run, net, inference, f"classifying {variant}")
    return stage.finish(values, device=device_name(), files=files)


def _ids_with_cams(run: Run, variant: str) -> list[str]:
    """Return the images of the splits for seeds and, to choose a threshold on, validation.

    Those of the training split, of which the paper's is seven times as large, where pseudo-masks are made of them.
    """
    dataset, data = run.dataset(), run.config.data
    splits = [data.train_split] if variant in refined_variants(run.config) else []
    splits += [data.seed_split, *([data.val_split] if data.val_split in dataset.splits else [])]
    return list(dict.fromkeys(image_id for split in splits for image_id in dataset.ids(split)))


def _write_cams(run: Run, net: CAMNet, ids: list[str], folder: Path, config: Config, title: str) -> list[Path]:
    """Write the CAMs of images and return their files."""
    dataset, inference = run.dataset(), config.inference
    for batch, images in _batches(dataset, ids, inference, inference.scales, title, folder):
        maps = [of_scale.cpu() for of_scale in scale_maps(net, images, flip=inference.flip)[1]]
        size = inner_size(image_size(dataset.image_path(batch[0])), inference.long_side)
        for place, image_id in enumerate(batch):
            present = np.flatnonzero(dataset.labels(image_id))
            cut = [of_scale[place, present] for of_scale in maps]
            _save_cams(folder / f"{image_id}.npz", present + 1, cut, size, config.cam.output_stride)
    return [folder / f"{i}.npz" for i in ids]


def _classify(run: Run, net: CAMNet, settings: InferenceSettings, title: str) -> dict[str, float]:
    """Measure the classifier on the validation split, where there is one."""
    dataset, split = run.dataset(), run.config.data.val_split
    if split not in dataset.splits:
        return {}
    logits, labels = [], []
    for batch, (images,) in _batches(dataset, dataset.ids(split), settings, (1.0,), title):
        with torch.no_grad():
            logits.append(net(images)[0].float().cpu().numpy())
        labels += [dataset.labels(i) for i in batch]
    scores, truth = np.concatenate(logits), np.stack(labels)
    values = {"classifier/mAP": mean_average_precision(scores, truth)}
    return values | {f"classifier/{name}": value for name, value in image_accuracy(scores, truth).items()}


def _batches(
    dataset: Dataset,
    ids: list[str],
    settings: InferenceSettings,
    scales: Sequence[float],
    title: str,
    folder: Path | None = None,
) -> Iterator[tuple[list[str], list[torch.Tensor]]]:
    """Yield ids and their normalised images, a tensor for each scale; images of the same size share a batch.

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
                images = [pyramid(dataset.image(i), scales, settings.long_side) for i in batch]
                stacks = (torch.stack([to_tensor(i) for i in same]) for same in zip(*images, strict=True))
                yield batch, [stack.to(device()) for stack in stacks]
            bar.update(len(batch))


def _save_cams(
    path: Path, classes: np.ndarray, maps: Sequence[torch.Tensor], size: tuple[int, int], stride: int
) -> None:
    arrays: dict[str, Any] = {
        "classes": classes.astype(np.int16),
        "maps": torch.cat([of_scale.flatten(1) for of_scale in maps], dim=1).float().numpy(),
        "grids": np.array([of_scale.shape[1:] for of_scale in maps], np.int32),
        "size": np.array(size, np.int32),
        "stride": np.int32(stride),
    }
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
