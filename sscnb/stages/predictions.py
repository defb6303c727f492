"""Stages of chapter 6: write the predictions of a split, and measure them."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from sscnb.datasets import read_mask, save_mask
from sscnb.evaluation import (
    BoundaryIoU,
    ConfusionMatrix,
    FailureRules,
    bootstrap_interval,
    class_iou,
    defined_mean,
    find_failures,
    foreground_errors,
)
from sscnb.files import made_again
from sscnb.locks import locks_given_back
from sscnb.networks import device_name
from sscnb.ranks import is_main, share
from sscnb.refinement import require_crf
from sscnb.segmentation import predict_mask
from sscnb.settings import predicted_splits, settings_dict
from sscnb.stages.run import Run
from sscnb.stages.seeds import not_measured
from sscnb.stages.segmentation import INFERENCE, NOTEBOOK, load_segmentation, segmentation_stage
from sscnb.stages.stage import NotFinished, Result, Stage


@locks_given_back()
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
    title = f"predictions from {source}, random seed {seed}"
    for image_id in tqdm(share(ids), desc=title, unit="img", mininterval=0.5, disable=not is_main()):
        path = stage.folder / f"{image_id}.png"
        if not path.is_file():
            save_mask(path, predict_mask(net, dataset.image(image_id), settings))
    stage.meet()
    files = [stage.folder / f"{i}.png" for i in ids]
    return stage.finish({"predicted/images": len(ids)}, device=device_name(), files=files)


@locks_given_back()
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
    settings = {"predictions": run.done_hash(predicted.folder, NOTEBOOK), "failures": settings_dict(rules)}
    inputs = {"masks": run.masks_hash(predicted.labels["split"])}
    stage = run.stage(folder, "segmentation_evaluation", settings, inputs, **predicted.labels)
    if stage.done() and "note" not in stage.load():
        return stage.load()
    dataset, split = run.dataset(), predicted.labels["split"]
    if not dataset.has_masks(split):
        return not_measured(stage, dataset, split)
    stage.begin()
    if not is_main():
        return stage.wait()
    number, ids = len(dataset.classes) + 1, dataset.ids(split)
    boundary, failures = BoundaryIoU(number), []
    counts = np.zeros((len(ids), number, number), np.int32)  # of one image each; int64 would be 2 GB on COCO
    for index, image_id in enumerate(
        tqdm(ids, desc=f"measuring {source}, random seed {seed}", unit="img", mininterval=0.5)
    ):
        path, target = predicted.folder / f"{image_id}.png", dataset.mask(image_id)
        with made_again(path):
            prediction = dataset.mask_at(path, image_id)
        matrix = ConfusionMatrix(number)
        matrix.update(prediction, target)
        counts[index] = matrix.counts
        boundary.update(prediction, target)
        failures += [(image_id, failure) for failure in find_failures(prediction, target, rules)]
    total = counts.sum(0, dtype=np.int64)
    own = defined_mean(class_iou(counts))
    low, high = bootstrap_interval(counts)
    values = {"mIoU": float(defined_mean(class_iou(total))), "mIoU_low": low, "mIoU_high": high}
    values |= {"accuracy": float(np.trace(total) / total.sum())}
    values |= {name: float(value) for name, value in foreground_errors(total).items()}
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


def predict_train(run: Run, source: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Do `predict_split` for the split whose seeds and pseudo-masks are measured: what became of the masks there."""
    return predict_split(run, source, seed, run.config.data.seed_split, crf)


def evaluate_train(run: Run, source: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Do `evaluate_segmentation` for the split whose seeds and pseudo-masks are measured."""
    return evaluate_segmentation(run, source, seed, run.config.data.seed_split, crf)


def read_prediction(folder: Path, image_id: str) -> np.ndarray:
    """Read a prediction, H,W uint8.

    Raises:
        UserError: it is missing or damaged; says what to delete.
    """
    path = folder / f"{image_id}.png"
    with made_again(path):
        return read_mask(path)


def _rank(item: tuple[str, dict]) -> tuple:
    image_id, failure = item
    return failure["kind"], -failure["share"], image_id, failure["class"]


def _prediction_stage(run: Run, source: str, seed: int, split: str, crf: str) -> Stage:
    trained = segmentation_stage(run, source, seed, crf)
    if not trained.done():
        raise NotFinished(f"{trained.folder} has no trained network: run notebook {NOTEBOOK} first.")
    settings = settings_dict(run.config.segmentation)
    own = predicted_splits(run.config, run.dataset())[0]
    split = split or own
    folder = trained.folder / ("predictions" if split == own else f"predictions_{split}")
    inference = {name: settings[name] for name in INFERENCE}
    values = {"inference": inference, "split": split, "network": trained.hash}
    return run.stage(folder, "predictions", values, **trained.labels, split=split, crf=settings["crf"])
