"""The reconstruction gap of a network in training and after it: whether its decoder looks at its input."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sscnb.datasets import Dataset, Sample, rescale
from sscnb.method import Objective, PerceptualLoss, build_perceptual, reconstruction_gap
from sscnb.networks import device, placed, to_tensor
from sscnb.settings import Config
from sscnb.stages.run import Run

_BATCH = 8
_WATCHED, _MEASURED = 24, 64  # photographs: after an epoch, and in the end


def gap_images(dataset: Dataset, split: str, crop: int, number: int) -> list[Tensor]:
    """Return batches of a split's images, spread over it: the middle square, scaled to a crop's size, no padding."""
    ids = dataset.ids(split)
    squares = []
    for image_id in ids[:: max(1, len(ids) // number)][:number]:
        image = dataset.image(image_id)
        image = rescale(Sample(image), crop / min(image.shape[:2])).image
        top, left = (max(0, side - crop) // 2 for side in image.shape[:2])
        squares.append(to_tensor(image[top : top + crop, left : left + crop]))
    batches = [torch.stack(squares[k : k + _BATCH]).to(device()) for k in range(0, len(squares), _BATCH)]
    return [batch for batch in batches if len(batch) > 1]


def measure_gap(run: Run, objective: Objective, config: Config, number: int = _MEASURED) -> dict[str, float]:
    """Return the reconstruction gap of a network as result values, `reconstruction/gap` among them.

    It is measured by the settings' perceptual loss, whatever loss the variant trains with, on images of the validation
    split. Nothing where the network has no decoder or the data no such split.
    """
    dataset, split = run.dataset(), config.data.val_split
    if objective.decoder is None or split not in dataset.splits:
        return {}
    objective = objective.eval()
    loss = _loss(objective, config)
    batches = gap_images(dataset, split, config.cam.crop, number)
    values = reconstruction_gap(objective.rebuild, loss, batches) if batches else {}
    return {f"reconstruction/{name}": value for name, value in values.items()}


def gap_observer(run: Run, objective: Objective, config: Config) -> Callable[[nn.Module, int], dict[str, float]] | None:
    """Return what watches the gap after each epoch in which the image is rebuilt; None where there is no decoder."""
    if objective.decoder is None:
        return None

    def observe(_: nn.Module, epoch: int) -> dict[str, float]:
        if epoch < config.reconstruction.warmup_epochs:
            return {}
        values = measure_gap(run, objective, config, _WATCHED)
        return {"gap": values["reconstruction/gap"]} if values else {}

    return observe


def _loss(objective: Objective, config: Config) -> PerceptualLoss:
    return objective.perceptual or placed(build_perceptual(config))
