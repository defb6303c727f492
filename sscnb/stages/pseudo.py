"""Stages of chapter 5: from CAMs and boundaries to pseudo-masks, and how good they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sscnb.datasets import read_mask, save_mask
from sscnb.evaluation import BoundaryIoU, ConfusionMatrix, ThresholdCurve
from sscnb.files import made_again, replacing
from sscnb.locks import locks_given_back
from sscnb.networks import device, device_name, products_in, to_tensor
from sscnb.ranks import is_main, share
from sscnb.refinement import IRN, confidence_mask, edge_map, pseudo_mask, random_walk, walk_scores
from sscnb.settings import settings_dict
from sscnb.stages.irn import cached_dataset, crf_choice, irn_stage, load_irn, resized, work_off, worker_count
from sscnb.stages.run import Run
from sscnb.stages.seeds import evaluate_seeds, load_grid_cams, not_measured, read_arrays, summary
from sscnb.stages.stage import Result

WRITTEN_BY = "05_irn_refinement"


@locks_given_back()
def make_pseudo_masks(run: Run, variant: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Write pseudo-masks and confidence masks of the images that have CAMs: training split and seed split.

    `pseudo_masks/<id>.png` holds class indices with VOC's palette, `confidence/<id>.png` 255 where the mask is trusted
    and 0 elsewhere, `walks/<id>.npz` what they were made from. An image that has all three is left alone. Every image
    is worked on alone and on one thread, so that the number of processes changes no result.

    Raises:
        UserError: the relation network has not been trained.
    """
    seed, crf = run.seed if seed is None else seed, crf_choice(run, crf)
    trained = irn_stage(run, variant, seed, crf)
    folder = trained.folder
    settings = settings_dict(run.config.pseudo)
    settings.pop("workers")
    settings = {"pseudo": settings, "irn": run.done_hash(folder, WRITTEN_BY)}
    stage = run.stage(folder / "pseudo_masks", "pseudo", settings, variant=variant, seed=seed, crf=crf)
    if stage.done():
        return stage.load()
    load_irn(run, variant, seed, crf)  # a damaged checkpoint is named here, and not in every process
    stage.begin()
    data, dataset = run.config.data, run.dataset()
    ids = list(dict.fromkeys(dataset.ids(data.train_split) + dataset.ids(data.seed_split)))
    own = share(ids)
    jobs = [(run, variant, seed, crf, i) for i in own if not all(path.is_file() for path in _paths(folder, i))]
    workers = worker_count(run, len(jobs)) if device().type == "cpu" else 1
    work_off(_write_masks, jobs, len(own), workers, f"pseudo-masks {variant}, random seed {seed}")
    stage.meet()
    files = [path for i in ids for path in _paths(folder, i)]
    return stage.finish({"images": len(ids)}, device=device_name(), files=files)


def load_walk(
    run: Run, variant: str, seed: int, image_id: str, size: tuple[int, int], crf: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's scores after the walk, n,H,W float32 in [0, 1] of the wanted size, and their class indices n.

    Raises:
        UserError: they are missing or damaged.
    """
    path = run.irn_folder(variant, seed, crf) / f"walks/{image_id}.npz"
    stored = read_arrays(path, {"classes": 1, "maps": 3, "size": 1}, WRITTEN_BY)
    return _scores(stored["maps"], tuple(stored["size"].tolist()), size), stored["classes"]


def load_confidence(run: Run, variant: str, seed: int, image_id: str, crf: str = "") -> np.ndarray:
    """Return which pixels of an image's pseudo-mask are trusted: H,W bool."""
    path = _paths(run.irn_folder(variant, seed, crf), image_id)[1]
    with made_again(path):
        return read_mask(path) > 0


def walk(run: Run, net: IRN, variant: str, seed: int, image_id: str, steps: int | None = None) -> tuple[Tensor, Tensor]:
    """Return an image's edge map h,w and its CAMs after the walk n,h,w, at stride 4 of the size the network looks at.

    Args:
        net: of `load_irn`.
        steps: instead of the settings' number.
    """
    pseudo, irn = run.config.pseudo, run.config.irn
    image = to_tensor(resized(cached_dataset(run).image(image_id), irn.long_side))
    with products_in(irn.precision, device()):
        edge = edge_map(net, image.to(device()), pad=irn.pad)
    height, width = edge.shape
    cams = torch.from_numpy(load_grid_cams(run, variant, seed, image_id, (height, width))[0]).to(device())
    steps = pseudo.steps if steps is None else steps
    return edge, random_walk(cams, edge, radius=pseudo.radius, beta=pseudo.beta, steps=steps, tol=pseudo.tol)


@locks_given_back()
def evaluate_pseudo_masks(
    run: Run, variant: str = "baseline", seed: int | None = None, crf: str = "", split: str | None = None
) -> Result:
    """Measure the pseudo-masks of a split: at the fixed threshold, and along the whole threshold curve.

    Rows: mIoU, mean boundary IoU, IoU per class and foreground errors at the fixed threshold; accuracy over all pixels
    and over the trusted ones; mIoU and errors at the best threshold, which uses ground truth and is named so; and
    mIoU and boundary IoU of the seeds that the walk began with. Fields: `curve`, `counts` and `images`, as of seeds.

    Raises:
        UserError: there are no pseudo-masks, or some of the images have a true mask and others not.
    """
    seed, crf, own = run.seed if seed is None else seed, crf_choice(run, crf), split is None
    folder, threshold = run.irn_folder(variant, seed, crf), run.config.pseudo.threshold
    seeds = evaluate_seeds(run, variant, seed, split)
    split = split or run.config.data.seed_split
    settings = {"split": split, "pseudo": run.done_hash(folder / "pseudo_masks", WRITTEN_BY)}
    labels = {"variant": variant, "seed": seed, "split": split, "crf": crf, "threshold": threshold}
    inputs = {"masks": run.masks_hash(split)}
    name = "evaluation" if own else f"evaluation_{split}"
    stage = run.stage(folder / name, "pseudo_eval", settings, inputs, **labels)
    if stage.done() and "note" not in stage.load():
        return stage.load()
    dataset = run.dataset()
    if not dataset.has_masks(split):
        return not_measured(stage, dataset, split)
    stage.begin()
    if not is_main():
        return stage.wait()
    number = len(dataset.classes) + 1
    total, trusted, curve, images = ConfusionMatrix(number), ConfusionMatrix(number), ThresholdCurve(number), {}
    contours = BoundaryIoU(number)
    for image_id in tqdm(dataset.ids(split), desc=f"masks {variant}, random seed {seed}", unit="img", mininterval=0.5):
        target, path = dataset.mask(image_id), _paths(folder, image_id)[0]
        with made_again(path):
            mask = dataset.mask_at(path, image_id)
        curve.update(*load_walk(run, variant, seed, image_id, target.shape, crf), target)
        matrix = ConfusionMatrix(number)
        matrix.update(mask, target)
        total.merge(matrix)
        images[image_id] = round(matrix.miou(), 4) if matrix.counts.any() else None
        sure = load_confidence(run, variant, seed, image_id, crf)
        trusted.update(mask[sure], target[sure])
        contours.update(mask, target)
    values, fields = summary(total, curve, ("background", *dataset.classes))
    of_seeds = {row["metric"]: row["value"] for row in seeds["rows"]}
    values |= {"boundary_IoU": contours.miou(), "seed_boundary_IoU": of_seeds["seed/boundary_IoU"]}
    values |= {"seed_mIoU": of_seeds["seed/mIoU"], "accuracy": total.accuracy(), "trusted_accuracy": trusted.accuracy()}
    return stage.finish({f"pseudo/{name}": value for name, value in values.items()}, **fields, images=images)


def _paths(folder: Path, image_id: str) -> tuple[Path, Path, Path]:
    """Return where an image's mask, its confidence and its walk lie."""
    mask, sure = (folder / part / f"{image_id}.png" for part in ("pseudo_masks", "confidence"))
    return mask, sure, folder / "walks" / f"{image_id}.npz"


def _write_masks(job: tuple[Run, str, int, str, str]) -> None:
    run, variant, seed, crf, image_id = job
    pseudo = run.config.pseudo
    image = cached_dataset(run).image(image_id)
    classes = load_grid_cams(run, variant, seed, image_id, (1, 1))[1]
    with _one_thread():
        _, walked = walk(run, _cached_irn(run, variant, seed, crf), variant, seed, image_id)
        # What a walk leaves may be small, and half precision has few digits there; the scores have a maximum of 1.
        maps = (walked / walked.amax().clamp_min(1e-12) if len(walked) else walked).half().cpu().numpy()
        inner = resized(image, run.config.irn.long_side).shape[:2]
        scores = _scores(maps, inner, image.shape[:2])
    mask = pseudo_mask(scores, classes, threshold=pseudo.threshold)
    sure = confidence_mask(scores, mask, threshold=pseudo.threshold, keep=pseudo.keep, trust=pseudo.trust)
    paths = _paths(run.irn_folder(variant, seed, crf), image_id)
    save_mask(paths[0], mask)
    with replacing(paths[1]) as temporary:
        Image.fromarray(sure.astype(np.uint8) * 255).save(temporary)
    with replacing(paths[2]) as temporary:
        np.savez_compressed(temporary, classes=classes, maps=maps, size=np.array(inner, np.int32))


def _scores(maps: np.ndarray, inner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return stored walks n,h,w as scores of the image's size; `inner` is the size of which they are a quarter."""
    scores = walk_scores(torch.from_numpy(maps.astype(np.float32)), inner)
    if inner == size or not len(scores):
        return scores if inner == size else np.zeros((0, *size), np.float32)
    return F.interpolate(torch.from_numpy(scores)[None], size=size, mode="bilinear", align_corners=False)[0].numpy()


@lru_cache(maxsize=1)
def _cached_irn(run: Run, variant: str, seed: int, crf: str) -> IRN:
    return load_irn(run, variant, seed, crf)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
