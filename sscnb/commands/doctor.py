"""What is here, what is missing and how to get it: the report of `python -m sscnb doctor`."""

import importlib.util
import os
import platform
import shutil
from importlib import metadata

from sscnb.datasets import open_dataset
from sscnb.errors import UserError
from sscnb.files import user_path
from sscnb.settings import PRESETS, Config, find_variant
from sscnb.stages import project_root

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "numpy",
    "scikit-image",
    "papermill",
    "snakemake",
    "jupyter-book",
)


def networks_of(config: Config) -> set[tuple[str, str]]:
    """Return the architectures that a preset's variants start from trained weights, with the name of the weights.

    EfficientNet-lite0 with a ReLU at its end has the weights of the one without.
    """
    parts = (config.cam, config.irn, config.segmentation)
    networks = {(part.backbone.removesuffix("_relu"), part.weights) for part in parts}
    for variant in config.variants:
        decoder, own = find_variant(variant, config)
        if decoder.reconstruction and decoder.loss == "perceptual":
            networks.add((own.reconstruction.loss_network, own.reconstruction.loss_weights))
    return networks


def check_packaged(config: Config) -> None:
    """Look for the weights that come with a package, before hours of training lead up to them.

    Raises:
        UserError: a network of the preset starts from such weights, and the package is not installed.
    """
    from sscnb.networks import weights_status

    for name, weights in sorted(networks_of(config)):
        packaged = weights == "hed" or (weights == "imagenet" and name.startswith("efficientnet"))
        if packaged and not (status := weights_status(name, weights))["available"]:
            raise UserError(f"preset {config.preset} needs weights of {name} that are not here: {status['how']}")


def report(data_root: str = "") -> int:
    """Print the report; return 0 when the default preset can run, 2 when it cannot."""
    import torch

    from sscnb.networks import weights_status

    print(f"Python       {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    missing = []
    for name in PACKAGES:
        try:
            print(f"{name:<12} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
            print(f"{name:<12} missing: make book installs it")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"device       {', '.join(gpus) or 'processor (no GPU that torch can use)'}")
    crf = importlib.util.find_spec("pydensecrf") is not None
    print(f"dense CRF    {'there' if crf else 'not installed: pip install .[crf] (needs a C++ compiler)'}")
    print(f"disk         {shutil.disk_usage(project_root()).free / 1e9:.0f} GB free in {project_root()}")
    print("\nImageNet weights")
    wanted = {preset: networks_of(config) for preset, config in PRESETS.items()}
    others = {("vgg16", "imagenet"), ("vgg16", "hed")}  # in Tables III and V; the loss network of small presets
    for name, weights in sorted(others.union(*wanted.values())):
        status = weights_status(name, weights)
        presets = ", ".join(preset for preset, networks in wanted.items() if (name, weights) in networks)
        where = status["path"] if status["available"] else f"missing: {status['how']}"
        if not status["available"] and (name, weights) in wanted["small"]:
            missing.append(f"weights of {name}")
        title = name if weights == "imagenet" else f"{name} {weights.removeprefix('imagenet_')}"
        print(f"{title:<20} {where}" + (f"  (presets {presets})" if presets else ""))
    print("\nData")
    print("embedded scenes      made on first use (presets tiny, small)")
    if data_root:
        try:
            dataset = open_dataset(project_root() / user_path(data_root))  # as a run takes it
            splits = ", ".join(f"{s} {len(dataset.ids(s))}" for s in dataset.splits)
            print(f"{data_root}: {len(dataset.classes)} classes; {splits}")
        except UserError as error:
            print(f"{data_root}: {error}")
            return 2
    else:
        print("your own             name a VOC-layout folder with --data-root to have it looked at")
    print(
        "\nEverything that the default preset needs is there." if not missing else f"\nMissing: {', '.join(missing)}."
    )
    return 2 if missing else 0
