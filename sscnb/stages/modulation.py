"""What chapter 4 looks at: what self-modulation asks of a trained network, image by image and on average."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from sscnb.datasets import Sample, resize_long
from sscnb.files import made_again
from sscnb.method import CAMNet, read_superpixels, self_modulate
from sscnb.networks import device, products_in, to_tensor
from sscnb.stages.irn import cached_dataset
from sscnb.stages.run import Run

Maps = tuple[np.ndarray, ...]


@torch.no_grad()
def modulate(run: Run, net: CAMNet, image_id: str) -> tuple[Sample, Maps]:
    """Modulate the activation of an image's first class that is present, with the run's settings (Eq. 7 and 9).

    Args:
        net: of `load_cam_net`.

    Returns:
        The image with its superpixels at the size of a crop, H,W; and the fields of `Modulation` as arrays H/2,W/2:
        activation, consistent, reliable, target, in 0..1 each.
    """
    dataset, settings = cached_dataset(run), run.config.modulation
    path = run.folder / "superpixels" / f"{image_id}.png"
    with made_again(path):
        regions = read_superpixels(path)
    sample = resize_long(Sample(dataset.image(image_id), regions), run.config.cam.crop)
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


def modulation_lift(run: Run, net: CAMNet, ids: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Return how high the activation and what it is drawn to are: `lift` over images, their first class each."""
    return lift((modulate(run, net, i)[1] for i in ids), run.config.inference.threshold)


def lift(maps: Iterable[Sequence[np.ndarray]], threshold: float) -> dict[str, tuple[float, float]]:
    """Return the mean, and the share above a threshold, of activation, mean of regions and target.

    Args:
        maps: of `modulate`, one image each; every image counts the same.
    """
    means, above = [], []
    for activation, consistent, _, target in maps:
        parts = (activation, consistent, target)
        means.append([part.mean() for part in parts])
        above.append([(part > threshold).mean() for part in parts])
    values = zip(np.mean(means, axis=0).tolist(), np.mean(above, axis=0).tolist(), strict=True)
    return dict(zip(("activation", "mean of regions", "target"), values, strict=True))
