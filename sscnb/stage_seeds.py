"""Stage of chapter 02 and 07: from stored CAMs to seeds, and how good they are."""

import zlib
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from sscnb.errors import UserError
from sscnb.evaluation import ConfusionMatrix, ThresholdCurve, class_iou, foreground_errors, seed_from_activation
from sscnb.run import Result, Run
from sscnb.variants import find_variant


def load_cams(run: Run, variant: str, seed: int, image_id: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's CAMs at full size: activations n,H,W float32 in [0, 1] and their class indices n."""
    path = run.cam_folder(variant, seed) / "cams" / f"{image_id}.npz"
    try:
        with np.load(path) as stored:
            classes, maps = stored["classes"], stored["maps"]
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run notebook 02_cam_network_training first.") from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}). Delete it and the results.json beside it, and run again."
        ) from error
    if not len(classes):
        return np.zeros((0, *size), np.float32), classes
    full = F.interpolate(
        torch.from_numpy(maps.astype(np.float32))[None], size=size, mode="bilinear", align_corners=False
    )
    return full[0].numpy(), classes


def evaluate_seeds(run: Run, variant: str = "baseline", seed: int | None = None, split: str | None = None) -> Result:
    """Measure the seeds of a split: at the fixed threshold, and along the whole threshold curve.

    The split is the settings' seed split, or another one whose images have CAMs (a part of the training images, say).

    Rows: mIoU, IoU per class and foreground errors at the fixed threshold; mIoU and errors at the best one, which uses
    ground truth and is named so. Fields: `curve`, `counts` (confusion) and each image's mIoU in `images`.
    """
    seed = run.seed if seed is None else seed
    threshold, own = find_variant(variant, run.config)[1].inference.threshold, split is None
    cams = run.done_hash(run.cam_folder(variant, seed) / "cams", "02_cam_network_training")
    split = split or run.config.data.seed_split
    settings = {"threshold": threshold, "split": split, "cams": cams}
    folder = run.cam_folder(variant, seed) / ("seeds" if own else f"seeds_{split}")
    stage = run.stage(folder, "seeds", settings, variant=variant, seed=seed, split=split, threshold=threshold)
    if stage.done():
        return stage.load()
    dataset = run.dataset()
    if not dataset.has_masks(split):
        raise UserError(f"split {split!r} has images without masks in {dataset.root}: seeds cannot be evaluated on it.")
    stage.begin()
    number = len(dataset.classes) + 1
    total, curve, images = ConfusionMatrix(number), ThresholdCurve(number), {}
    for image_id in tqdm(dataset.ids(split), desc=f"seeds {variant} seed {seed}", unit="img", mininterval=0.5):
        target = dataset.mask(image_id)
        scores, classes = load_cams(run, variant, seed, image_id, target.shape)
        curve.update(scores, classes, target)
        matrix = ConfusionMatrix(number)
        matrix.update(seed_from_activation(scores, classes, threshold), target)
        total.merge(matrix)
        images[image_id] = round(matrix.miou(), 4) if matrix.counts.any() else None
    best, best_miou = curve.best()
    errors = curve.errors()
    at = int(np.argmin(np.abs(curve.thresholds - best)))
    values = {"seed/mIoU": total.miou()}
    values |= {f"seed/{name}": value for name, value in foreground_errors(total.counts).items()}
    values |= {"seed/best_mIoU": best_miou, "seed/best_threshold": best}
    values |= {f"seed/best_{name}": float(value[at]) for name, value in errors.items()}
    names = ("background", *dataset.classes)
    values |= {f"seed/IoU/{name}": v for name, v in zip(names, class_iou(total.counts), strict=True)}
    return stage.finish(
        values,
        threshold=threshold,
        counts=total.counts.tolist(),
        curve={
            "threshold": curve.thresholds.tolist(),
            "mIoU": curve.miou().tolist(),
            **{name: value.tolist() for name, value in errors.items()},
        },
        images=images,
    )
