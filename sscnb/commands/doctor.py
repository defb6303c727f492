"""What is here, what is missing and how to get it: the report of `python -m sscnb doctor`."""

import importlib.util
import os
import platform
import shutil
from importlib import metadata

from sscnb.datasets import open_dataset
from sscnb.errors import UserError
from sscnb.files import user_path
from sscnb.settings import PRESETS, load_config
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
    default = load_config("small")
    print("\nImageNet weights")
    for name in sorted({c.cam.backbone for c in PRESETS.values()} | {"vgg16", "vgg19", "resnet101"}):
        status = weights_status(name)
        presets = ", ".join(p for p, c in PRESETS.items() if name in (c.cam.backbone, c.reconstruction.loss_network))
        where = status["path"] if status["available"] else f"missing: {status['how']}"
        if not status["available"] and name in (default.cam.backbone, default.reconstruction.loss_network):
            missing.append(f"weights of {name}")
        print(f"{name:<20} {where}" + (f"  (presets {presets})" if presets else ""))
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
