"""What chapter 4 looks at: what self-modulation asks of a trained network, and whether that is where the masks are."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from sscnb.datasets import IGNORE, Sample, resize_long
from sscnb.evaluation import ThresholdCurve, class_iou
from sscnb.files import made_again
from sscnb.method import CAMNet, read_superpixels, self_modulate
from sscnb.networks import device, products_in, to_tensor
from sscnb.stages.irn import cached_dataset
from sscnb.stages.run import Run

Maps = tuple[np.ndarray, ...]
PARTS = ("activation", "mean of regions", "target")


@torch.no_grad()
def modulate(run: Run, net: CAMNet, image_id: str) -> tuple[Sample, Maps]:
    """Modulate the activation of an image's first class that is present, with the run's settings (Eq. 7 and 9).

    Args:
        net: of `load_cam_net`.

    Returns:
        The image with its superpixels, and its mask where there is one, at the size of a crop, H,W; and the fields of
        `Modulation` as arrays H/2,W/2: activation, consistent, reliable, target, in 0..1 each.
    """
    dataset, settings = cached_dataset(run), run.config.modulation
    path = run.folder / "superpixels" / f"{image_id}.png"
    with made_again(path):
        regions = read_superpixels(path)
    mask = dataset.mask(image_id) if dataset.mask_path(image_id).is_file() else None
    sample = resize_long(Sample(dataset.image(image_id), regions, mask), run.config.cam.crop)
    ids = torch.from_numpy(np.asarray(sample.superpixels, np.int64))
    with products_in(run.config.cam.precision, device()):
        features = net(to_tensor(sample.image)[None].to(device()))[1]
    maps = self_modulate(
        features,
        ids[None].to(device()),
        torch.from_numpy(dataset.labels(image_id))[None].to(device()),
        threshold=settings.threshold,
        erosion=settings.erosion,
    )
    return sample, tuple(part[0].float().cpu().numpy() for part in maps)


def modulation_lift(run: Run, net: CAMNet, ids: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return `lift` over images, their first class each, and `overlap` too, where all of them have masks."""
    threshold, found, objects = run.config.inference.threshold, [], []
    for image_id in ids:
        sample, maps = modulate(run, net, image_id)
        found.append(maps)
        if sample.mask is not None:
            objects.append(_of_class(sample.mask, 1 + int(run.dataset().labels(image_id).argmax()), maps[0].shape))
    if len(objects) < len(found):
        return lift(found, threshold)
    both = zip(lift(found, threshold).items(), overlap(found, objects, threshold).values(), strict=True)
    return {name: values | more for (name, values), more in both}


def _of_class(mask: np.ndarray, index: int, shape: tuple[int, ...]) -> np.ndarray:
    half = mask[: 2 * shape[0] : 2, : 2 * shape[1] : 2]
    return np.where(half == IGNORE, IGNORE, half == index).astype(np.uint8)


def lift(maps: Iterable[Sequence[np.ndarray]], threshold: float) -> dict[str, dict[str, float]]:
    """Return the `mean`, and the share `above` a threshold, of activation, mean of regions and target.

    Args:
        maps: of `modulate`, one image each; every image counts the same.
    """
    means, above = [], []
    for activation, consistent, _, target in maps:
        parts = (activation, consistent, target)
        means.append([part.mean() for part in parts])
        above.append([(part > threshold).mean() for part in parts])
    values = zip(np.mean(means, axis=0).tolist(), np.mean(above, axis=0).tolist(), strict=True)
    return {name: dict(zip(("mean", "above"), pair, strict=True)) for name, pair in zip(PARTS, values, strict=True)}


def overlap(
    maps: Iterable[Sequence[np.ndarray]], objects: Iterable[np.ndarray], threshold: float
) -> dict[str, dict[str, float]]:
    """Return how activation, mean of regions and target fit the object: a target that fits no better teaches nothing.

    `IoU` of what lies above the threshold with the object, `best IoU` over all thresholds (which is chosen by these
    masks), `over` and `under` at the threshold, as of the seeds. All pixels of all images count the same.

    Args:
        maps: of `modulate`, one image each.
        objects: H/2,W/2 uint8 each: 1 where the class is, 0 elsewhere, 255 where nobody knows.
    """
    thresholds = np.union1d(np.arange(101) / 100, [threshold])
    at = int(np.searchsorted(thresholds, threshold))
    curves = {name: ThresholdCurve(2, thresholds) for name in PARTS}
    for (activation, consistent, _, target), shown in zip(maps, objects, strict=True):
        for curve, part in zip(curves.values(), (activation, consistent, target), strict=True):
            curve.update(part[None], np.array([1]), shown)
    found = {}
    for name, curve in curves.items():
        iou, errors = class_iou(curve.counts())[:, 1], curve.errors()
        found[name] = {"IoU": float(iou[at]), "best IoU": float(np.nanmax(iou))}
        found[name] |= {kind: float(errors[kind][at]) for kind in ("over", "under")}
    return found
