"""What a training step sees: batches of augmented crops that depend on seed, epoch and image alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from sscnb.datasets import IGNORE, Dataset, Sample, augment, augment_area, change_colours, read_ids, read_mask
from sscnb.errors import UserError
from sscnb.files import made_again
from sscnb.networks.tensors import to_tensor

UNTRUSTED = 254  # in a target: a pseudo-mask's pixel that its confidence mask does not trust


class TrainingImages(torch.utils.data.Dataset):
    """Augmented crops with their image-level labels.

    An item is asked for as (epoch, index), which `EpochSampler` yields, so that workers hold no state and a resumed
    run sees the same crops. Items are dicts: `id` str, `image` 3,S,S float32, `labels` C float32; `superpixels` S,S
    int64 when a folder of superpixel maps is given; `target` S,S int64 (255 = ignore) when one of masks is given, with
    UNTRUSTED where a mask of the folder of confidence masks is 0.

    Give one of `resize_range` and `scale_range`, as for `augment`, or `area_range` with `ratio_range`, as for
    `augment_area`. With `color` the crops' colours change as well.
    """

    def __init__(
        self,
        dataset: Dataset,
        ids: Sequence[str],
        *,
        resize_range: tuple[int, int] | None = None,
        scale_range: tuple[float, float] | None = None,
        area_range: tuple[float, float] | None = None,
        ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        color: bool = False,
        crop: int,
        seed: int,
        superpixel_folder: Path | None = None,
        mask_folder: Path | None = None,
        confidence_folder: Path | None = None,
    ):
        self.dataset, self.ids, self.seed = dataset, list(ids), seed
        self.resize_range, self.scale_range, self.crop = resize_range, scale_range, crop
        self.area_range, self.ratio_range, self.color = area_range, ratio_range, color
        self.superpixel_folder, self.mask_folder = superpixel_folder, mask_folder
        self.confidence_folder = confidence_folder

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        image_id = self.ids[index]
        superpixels = _made(read_ids, self.superpixel_folder, image_id)
        trusted = _made(read_mask, self.confidence_folder, image_id)
        if self.mask_folder == self.dataset.mask_path(image_id).parent:
            mask: np.ndarray | None = self.dataset.mask(image_id)
        else:
            mask = _made(lambda path: self.dataset.mask_at(path, image_id), self.mask_folder, image_id)
        rng = np.random.default_rng((self.seed, epoch, index))
        sample = Sample(self.dataset.image(image_id), superpixels, mask)
        folders = (self.superpixel_folder, self.mask_folder, self.confidence_folder)
        for folder, part in zip(folders, (superpixels, mask, trusted), strict=True):
            if folder is not None and part is not None and part.shape != sample.image.shape[:2]:
                raise UserError(
                    f"{folder / image_id}.png is of shape {part.shape}, its image of {sample.image.shape[:2]}: it was "
                    "made from another version of the image. Delete the folder and run the stage that writes it again."
                )
        if trusted is not None and mask is not None:
            mask[(trusted == 0) & (mask != IGNORE)] = UNTRUSTED
        sample, inside = self._augment(sample, rng)
        # After the geometry, so that a blur's width is in the pixels that the network sees.
        image = change_colours(sample.image, rng) if self.color else sample.image
        item = {
            "id": image_id,
            "image": to_tensor(image, inside),
            "labels": torch.from_numpy(self.dataset.labels(image_id)),
        }
        if sample.superpixels is not None:
            item["superpixels"] = torch.from_numpy(sample.superpixels.astype(np.int64))
        if sample.mask is not None:
            item["target"] = torch.from_numpy(sample.mask.astype(np.int64))
        return item

    def _augment(self, sample: Sample, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        if self.area_range is not None:
            return augment_area(sample, rng, area=self.area_range, ratio=self.ratio_range, crop=self.crop)
        return augment(sample, rng, resize_range=self.resize_range, scale_range=self.scale_range, crop=self.crop)


def _made(read: Callable[[Path], np.ndarray], folder: Path | None, image_id: str) -> np.ndarray | None:
    """Read a map that a stage wrote, where there are such maps."""
    if folder is None:
        return None
    path = folder / f"{image_id}.png"
    with made_again(path):
        return read(path)


class EpochSampler(Sampler):
    """Yield (epoch, index) in an order drawn from seed and epoch."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        yield from ((self.epoch, int(i)) for i in order)
