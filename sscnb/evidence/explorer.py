"""What the book's page with the threshold slider needs: a few images with their CAMs, and the curves of the split."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from sscnb.datasets import IGNORE, voc_palette
from sscnb.evidence.figures import ACTIVATION
from sscnb.files import write_json
from sscnb.settings import VARIANTS
from sscnb.stages import Run, evaluate_seeds, load_cams

SIDE = 240  # longest side of a picture: enough to see, small enough for a page


def write_explorer(run: Run, ids: Sequence[str], variants: Sequence[str]) -> None:
    """Write `figures/explorer.json` of a run: images, activations with class and truth, and threshold curves.

    Where the seed split has no masks, truth is "ignored" everywhere and there are no curves.
    """
    dataset, split = run.dataset(), run.config.data.seed_split
    masks = dataset.has_masks(split)
    images = []
    for image_id in ids:
        image = dataset.image(image_id)
        truth = dataset.mask(image_id) if masks else np.full(image.shape[:2], IGNORE, np.uint8)
        cams = {VARIANTS[v].title: load_cams(run, v, run.seed, image_id, truth.shape) for v in variants}
        maps = {title: _png(encode(*cam, truth)) for title, cam in cams.items()}
        title = f"{image_id}: {', '.join(dataset.class_names(image_id))}"
        images.append({"title": title, "image": _png(image, Image.Resampling.LANCZOS), "maps": maps})
    curves = {VARIANTS[v].title: evaluate_seeds(run, v)["curve"] for v in variants} if masks else {}
    heat = (255 * matplotlib.colormaps[ACTIVATION](np.arange(256))[:, :3]).astype(int)
    data = {
        "split": split,
        "threshold": run.config.inference.threshold,
        "masks": masks,
        "images": images,
        "curves": {title: {k: _rounded(curve[k]) for k in ("threshold", "mIoU", "over", "under")}
                   for title, curve in curves.items()},
        "heat": heat.tolist(),
        "palette": np.array(voc_palette()).reshape(-1, 3)[: len(dataset.classes) + 1].tolist(),
    }  # fmt: skip
    write_json(run.folder / "figures/explorer.json", data)


def encode(scores: np.ndarray, classes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pack an image's activation into a picture H,W,3 uint8: 255 x the highest score, its class, the true class.

    A page can then cut the seed at any threshold: the class where the score exceeds it, background elsewhere.

    Shapes: scores n,H,W in [0, 1], classes n, truth H,W.
    """
    if not len(classes):
        return np.stack([np.zeros_like(truth), np.zeros_like(truth), truth], axis=-1)
    level = np.floor(255 * scores.max(axis=0) + 1e-4)
    return np.stack([level, classes[scores.argmax(axis=0)], truth], axis=-1).astype(np.uint8)


def _png(picture: np.ndarray, resampling: Image.Resampling = Image.Resampling.NEAREST) -> str:
    image = Image.fromarray(picture)
    factor = SIDE / max(image.size)
    if factor < 1:
        image = image.resize([max(1, round(side * factor)) for side in image.size], resampling)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rounded(values: Sequence[Any]) -> list[float]:
    return [0.0 if value is None or value != value else round(float(value), 4) for value in values]
