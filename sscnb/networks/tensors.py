"""Images as every network here sees them: normalised by ImageNet's mean and deviation."""

import numpy as np
import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MEAN, _STD = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)


def to_tensor(image: np.ndarray, inside: np.ndarray | None = None) -> Tensor:
    """Return an image H,W,3 uint8 as 3,H,W float32 with ImageNet's mean and deviation taken out; padding is 0."""
    array = (image.astype(np.float32) / 255 - _MEAN) / _STD
    if inside is not None:
        array[~inside] = 0
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


def to_image(tensor: Tensor) -> np.ndarray:
    """Undo `to_tensor`: 3,H,W normalised to H,W,3 uint8, clipped to what can be shown."""
    array = tensor.detach().float().cpu().numpy().transpose(1, 2, 0) * _STD + _MEAN
    return (array.clip(0, 1) * 255).round().astype(np.uint8)
