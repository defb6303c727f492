"""Stage of chapter 2 and 7: from stored CAMs to seeds, and how good they are."""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from tqdm import tqdm

from sscnb.datasets import Dataset
from sscnb.errors import UserError
from sscnb.evaluation import (
    BoundaryIoU,
    ConfusionMatrix,
    ThresholdCurve,
    class_iou,
    foreground_errors,
    seed_from_activation,
)
from sscnb.locks import locks_given_back
from sscnb.method import full_activation, grid_activation
from sscnb.ranks import is_main
from sscnb.settings import find_variant, refined_variants
from sscnb.stages.run import Run
from sscnb.stages.stage import Result, Stage


def read_arrays(path: Path, dimensions: Mapping[str, int], written_by: str) -> dict[str, np.ndarray]:
    """Read arrays of an image from a compressed file.

    Args:
        dimensions: how many each has; by name.
        written_by: the notebook that writes it.

    Raises:
        UserError: it is missing or damaged, an array has not as many dimensions, or values are not finite.
    """
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in dimensions}
        for name, array in arrays.items():
            if array.ndim != dimensions[name] or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                raise ValueError(f"{name} is of shape {array.shape} and {array.dtype}, or has values not finite")
        return arrays
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run notebook {written_by} first.") from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}). Delete it to have it made again.") from error


def check_refined(run: Run, variant: str, seed: int) -> None:
    """Look whether a variant has CAMs of all training images, and not only of those that are measured.

    Raises:
        UserError: it has not; says how to get them.
    """
    refined, cams = refined_variants(run.config), run.cam_folder(variant, seed) / "cams"
    if variant in refined or not (cams / "results.json").is_file():
        return
    ids = run.dataset().ids(run.config.data.train_split)
    lacking = sum(not (cams / f"{image_id}.npz").is_file() for image_id in ids)
    if lacking:
        known = run.config.variants  # of a sweep's variant, such as ssc@modulation.beta=5, the run does not know yet
        more = {} if variant in known else {"variants": [*known, variant]}
        override = json.dumps(more | {"refined": [*refined, variant]})
        raise UserError(
            f"{lacking:,} of {len(ids):,} training images have no CAMs of {variant!r}: they are made of the variants "
            f"that `refined` names. Give 'cams' and this stage the override {override}."
        )


def load_cams(run: Run, variant: str, seed: int, image_id: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's CAMs at full size, for seeds and relation labels.

    Args:
        size: H,W of the image.

    Returns:
        Activations n,H,W float32 in [0, 1] and their class indices n.

    Raises:
        UserError: they are missing or damaged.
    """
    maps, classes, inner, stride = _read_cams(run, variant, seed, image_id)
    return full_activation(maps, inner, stride=stride, size=size).numpy(), classes


def load_grid_cams(
    run: Run, variant: str, seed: int, image_id: str, grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's CAMs on a grid of cells, for the random walk; otherwise as `load_cams`.

    Args:
        grid: h,w of the cells that cover the image, ceil(H/4),ceil(W/4) for the walk.
    """
    maps, classes, _, _ = _read_cams(run, variant, seed, image_id)
    return grid_activation(maps, grid).numpy(), classes


def _read_cams(
    run: Run, variant: str, seed: int, image_id: str
) -> tuple[list[torch.Tensor], np.ndarray, tuple[int, int], int]:
    """Return the maps n,h_s,w_s of each scale, their classes n, H,W of the image at scale 1 and the maps' stride."""
    folder = run.cam_folder(variant, seed) / "cams"
    path = folder / f"{image_id}.npz"
    stored = read_arrays(path, {"classes": 1, "maps": 2, "grids": 2, "size": 1, "stride": 0}, "02_cam_network_training")
    grids = [tuple(grid) for grid in stored["grids"].tolist()]
    if stored["maps"].shape != (len(stored["classes"]), sum(h * w for h, w in grids)):
        raise UserError(f"{path} holds maps of another shape than its grids. Delete it to have it made again.")
    parts = torch.from_numpy(stored["maps"]).split([h * w for h, w in grids], dim=1)
    maps = [part.unflatten(1, grid) for part, grid in zip(parts, grids, strict=True)]
    return maps, stored["classes"], tuple(stored["size"].tolist()), int(stored["stride"])


@locks_given_back()
def evaluate_seeds(run: Run, variant: str = "baseline", seed: int | None = None, split: str | None = None) -> Result:
    """Measure the seeds of a split: at the fixed threshold, and along the whole threshold curve.

    The split is the settings' seed split, or another one whose images have CAMs (a part of the training images, say).

    Rows: mIoU, boundary IoU, IoU per class and foreground errors at the fixed threshold; mIoU, boundary IoU
    and errors at the threshold that is best on the validation split (`tuned_`), where that one has masks, and at the
    best one (`best_`), which uses this split's own ground truth. Fields: `curve`, `counts` (confusion) and each
    image's mIoU in `images`. On a split without masks: no rows, and a `note` that says so.
    """
    seed = run.seed if seed is None else seed
    threshold, own = find_variant(variant, run.config)[1].inference.threshold, split is None
    cams = run.done_hash(run.cam_folder(variant, seed) / "cams", "02_cam_network_training")
    split = split or run.config.data.seed_split
    settings = {"threshold": threshold, "split": split, "cams": cams}
    folder = run.cam_folder(variant, seed) / ("seeds" if own else f"seeds_{split}")
    inputs = {"masks": run.masks_hash(split)}
    tuning = run.tuning_split(split)
    if tuning:
        inputs["tuning"] = run.masks_hash(tuning)
    stage = run.stage(folder, "seeds", settings, inputs, variant=variant, seed=seed, split=split, threshold=threshold)
    if stage.done() and "note" not in stage.load():
        return stage.load()
    dataset = run.dataset()
    if not dataset.has_masks(split):
        return not_measured(stage, dataset, split)
    stage.begin()
    if not is_main():
        return stage.wait()
    number = len(dataset.classes) + 1
    total, curve, images = ConfusionMatrix(number), ThresholdCurve(number), {}
    contours = BoundaryIoU(number)
    for image_id in tqdm(dataset.ids(split), desc=f"seeds {variant}, random seed {seed}", unit="img", mininterval=0.5):
        target = dataset.mask(image_id)
        scores, classes = load_cams(run, variant, seed, image_id, target.shape)
        curve.update(scores, classes, target)
        mask, matrix = seed_from_activation(scores, classes, threshold), ConfusionMatrix(number)
        matrix.update(mask, target)
        total.merge(matrix)
        contours.update(mask, target)
        images[image_id] = round(matrix.miou(), 4) if matrix.counts.any() else None
    values, fields = summary(total, curve, ("background", *dataset.classes))
    if tuning:
        values |= at_threshold(curve, _curve(run, variant, seed, tuning).best()[0], "tuned")
    chosen = {rule: BoundaryIoU(number) for rule in ("best", "tuned") if f"{rule}_threshold" in values}
    for image_id in dataset.ids(split):  # again, since only now are these thresholds known
        target = dataset.mask(image_id)
        scores, classes = load_cams(run, variant, seed, image_id, target.shape)
        for rule, its_contours in chosen.items():
            its_contours.update(seed_from_activation(scores, classes, values[f"{rule}_threshold"]), target)
    values |= {"boundary_IoU": contours.miou()}
    values |= {f"{rule}_boundary_IoU": its_contours.miou() for rule, its_contours in chosen.items()}
    return stage.finish({f"seed/{k}": v for k, v in values.items()}, threshold=threshold, **fields, images=images)


def _curve(run: Run, variant: str, seed: int, split: str) -> ThresholdCurve:
    """Return the threshold curve of the seeds of a split."""
    dataset = run.dataset()
    curve = ThresholdCurve(len(dataset.classes) + 1)
    for image_id in tqdm(
        dataset.ids(split), desc=f"threshold {variant}, random seed {seed}", unit="img", mininterval=0.5
    ):
        target = dataset.mask(image_id)
        curve.update(*load_cams(run, variant, seed, image_id, target.shape), target)
    return curve


def not_measured(stage: Stage, dataset: Dataset, split: str) -> Result:
    """Finish a stage that measures masks on a split without any: no rows, and a `note` that says so.

    It is measured after all when it runs again and masks are there.

    Raises:
        UserError: some of the images have masks and others not, which a measure would hide.
    """
    ids = dataset.ids(split)
    lacking = [i for i in ids if not dataset.mask_path(i).is_file()]
    if len(lacking) < len(ids):
        raise UserError(
            f"split {split!r} of {dataset.root} has {len(lacking)} of {len(ids)} images without masks, such as "
            f"{dataset.mask_path(lacking[0])}. Add them, or make a split of the images that have one."
        )
    if stage.done():
        return stage.load()
    stage.begin()
    note = f"no masks for split {split!r}: nothing to measure against"
    return stage.finish({}, note=note, counts=[], curve={}, images={})


def at_threshold(curve: ThresholdCurve, threshold: float, rule: str) -> dict[str, float]:
    """Return mIoU and foreground errors at one threshold of a curve, named by the rule that chose it."""
    at = int(np.argmin(np.abs(curve.thresholds - threshold)))
    values = {f"{rule}_mIoU": float(curve.miou()[at]), f"{rule}_threshold": threshold}
    return values | {f"{rule}_{name}": float(value[at]) for name, value in curve.errors().items()}


def summary(
    total: ConfusionMatrix, curve: ThresholdCurve, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what is told of the masks of a split: values for rows, and the fields `counts` and `curve`.

    Args:
        total: of the masks at the fixed threshold.
        curve: of the scores that they were made from.
        names: of the classes, background first.
    """
    values = {"mIoU": total.miou()}
    values |= {name: float(value) for name, value in foreground_errors(total.counts).items()}
    values |= at_threshold(curve, curve.best()[0], "best")
    values |= {f"IoU/{name}": v for name, v in zip(names, class_iou(total.counts), strict=True)}
    along = {"threshold": curve.thresholds, "mIoU": curve.miou(), **curve.errors()}
    return values, {"counts": total.counts.tolist(), "curve": {name: v.tolist() for name, v in along.items()}}
