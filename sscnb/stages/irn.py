"""Stages of chapter 5: inter-pixel relation labels from CAMs, and the network that learns the relations."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from sscnb.datasets import IGNORE, Dataset, Sample, resize_long, save_mask
from sscnb.errors import UserError, nearest
from sscnb.files import made_again, replacing
from sscnb.locks import locks_given_back
from sscnb.networks import (
    Schedule,
    TrainingImages,
    build_backbone,
    device,
    device_name,
    fit,
    folded,
    load_checkpoint,
    load_state,
    placed,
    products_in,
    to_tensor,
)
from sscnb.parallel import in_processes, worth_starting
from sscnb.ranks import is_main, share
from sscnb.refinement import IRN, ir_label, labels_on_grid, relation_loss, require_crf, set_mean_displacement
from sscnb.settings import IRNSettings, find_variant, settings_dict
from sscnb.stages.run import Run
from sscnb.stages.seeds import check_refined, load_cams
from sscnb.stages.stage import NotFinished, Result, Stage

_NOT_SAVED = ("net.backbone.",)  # it is frozen
_MEAN_IMAGES = 100  # for the mean displacement: two numbers, which hundreds of cells an image settle soon


def crf_choice(run: Run, crf: str = "") -> str:
    """Return which CRF refines the relation labels, "dense" or "none"; empty is the settings' `irn.crf`.

    Raises:
        UserError: it is neither.
    """
    crf = crf or run.config.irn.crf
    if crf not in ("dense", "none"):
        raise UserError(f"crf is {crf!r}; {nearest(str(crf), ['dense', 'none'])}")
    return crf


@locks_given_back()
def make_ir_labels(run: Run, variant: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Write the training images' relation labels, made from the CAMs of a variant, as palette PNGs.

    An image that has its file already is left alone. Rows: the shares of foreground, background and uncertain pixels.

    Raises:
        UserError: the CAMs are not there, or the dense CRF is wanted and not installed.
    """
    seed, crf = run.seed if seed is None else seed, crf_choice(run, crf)
    find_variant(variant, run.config)
    check_refined(run, variant, seed)
    settings = {
        "foreground": run.config.irn.foreground,
        "background": run.config.irn.background,
        "crf": crf,
        "cams": run.done_hash(run.cam_folder(variant, seed) / "cams", "02_cam_network_training"),
    }
    folder, split = run.irn_folder(variant, seed, crf) / "ir_labels", run.config.data.train_split
    stage = run.stage(folder, "ir_labels", settings, variant=variant, seed=seed, crf=crf, split=split)
    if stage.done():
        return stage.load()
    if crf == "dense":
        require_crf()
    stage.begin()
    dataset = run.dataset()
    ids = dataset.ids(split)
    own = share(ids)
    jobs = [(run, variant, seed, crf, i) for i in own if not (folder / f"{i}.png").is_file()]
    work_off(
        _write_ir_label, jobs, len(own), worker_count(run, len(jobs)), f"relation labels {variant}, random seed {seed}"
    )
    stage.meet()
    if not is_main():
        return stage.wait()
    shares = np.zeros(3)
    for image_id in ids:
        path = folder / f"{image_id}.png"
        with made_again(path):
            label = dataset.mask_at(path, image_id)
        background, uncertain = (label == 0).mean(), (label == IGNORE).mean()
        shares += np.array([1 - background - uncertain, background, uncertain]) / len(ids)
    names = ("ir/foreground", "ir/background", "ir/uncertain")
    files = [folder / f"{i}.png" for i in ids]
    return stage.finish(dict(zip(names, shares.tolist(), strict=True)), files=files)


def worker_count(run: Run, jobs: int) -> int:
    """Return how many processes to use for images: the settings' number, at most as many as are worth their start.

    By default as many as torch would use threads, so that OMP_NUM_THREADS limits both.
    """
    return worth_starting(run.config.pseudo.workers or torch.get_num_threads(), jobs)


def work_off(function: Callable, jobs: list, total: int, workers: int, title: str) -> None:
    """Do the jobs that are left of `total`, in several processes, and show how far they are."""
    done, left = in_processes(function, jobs, workers), total - len(jobs)
    for _ in tqdm(done, title, total, initial=left, unit="img", mininterval=0.5, disable=not is_main()):
        pass


@lru_cache(maxsize=1)
def cached_dataset(run: Run) -> Dataset:
    """Return the run's data set, opened once a process."""
    return run.dataset()


def _write_ir_label(job: tuple[Run, str, int, str, str]) -> None:
    run, variant, seed, crf, image_id = job
    image = cached_dataset(run).image(image_id)
    activation, classes = load_cams(run, variant, seed, image_id, image.shape[:2])
    irn = run.config.irn
    label = ir_label(activation, classes, image, foreground=irn.foreground, background=irn.background, crf=crf)
    save_mask(run.irn_folder(variant, seed, crf) / "ir_labels" / f"{image_id}.png", label)


class RelationObjective(nn.Module):
    """The relation network with its loss: `forward(batch, epoch)` takes `image` B,3,S,S and `target` B,S,S labels."""

    def __init__(self, net: IRN, irn: IRNSettings):
        super().__init__()
        self.net, self.radius = net, irn.radius
        self.room = irn.radius - 1 if irn.pairs == "released" else 0

    def forward(self, batch: Mapping[str, Any], epoch: int) -> dict[str, Tensor]:
        edge, displacement = self.net(batch["image"])
        labels = labels_on_grid(batch["target"])
        return relation_loss(edge, displacement, labels, radius=self.radius, room=self.room)


def irn_stage(run: Run, variant: str, seed: int, crf: str = "") -> Stage:
    """Describe the training of a relation network: where it lies and which settings it depends on."""
    crf = crf_choice(run, crf)
    find_variant(variant, run.config)
    folder = run.irn_folder(variant, seed, crf)
    settings = settings_dict(run.config.irn)
    for name in ("workers", "foreground", "background", "crf"):  # speed, and what the labels' hash tells
        settings.pop(name)
    settings = {"irn": settings, "labels": run.done_hash(folder / "ir_labels", "05_irn_refinement")}
    return run.stage(folder, "irn", settings, variant=variant, seed=seed, crf=crf)


@locks_given_back()
def train_irn(run: Run, variant: str = "baseline", seed: int | None = None, crf: str = "") -> Result:
    """Train the relation network on the relation labels of a variant; goes on from the last whole epoch.

    Afterwards the mean displacement is measured, on at most 100 training images, and stored with the network.
    """
    seed, crf = run.seed if seed is None else seed, crf_choice(run, crf)
    stage = irn_stage(run, variant, seed, crf)
    if stage.done():
        return stage.load()
    stage.begin()
    irn, dataset = run.config.irn, run.dataset()
    ids = dataset.ids(run.config.data.train_split)
    data = TrainingImages(dataset, ids, crop=irn.crop, seed=seed, mask_folder=stage.folder / "ir_labels", **_sizes(irn))
    torch.manual_seed(seed)
    objective, optimizers = build_relations(irn)
    history = fit(
        objective,
        optimizers,
        data,
        Schedule(irn.epochs, irn.batch_size, irn.power, precision=irn.precision, workers=irn.workers),
        seed=seed,
        folder=stage.folder,
        config_hash=stage.hash,
        title=f"relations {variant}, random seed {seed}",
        exclude=_NOT_SAVED,
    )
    if not is_main():
        return stage.wait()
    fields = {"history": history}
    if irn.displacement:
        some = ids[:: -(-len(ids) // _MEAN_IMAGES)]
        bar = tqdm(some, desc="mean displacement", unit="img", mininterval=0.5)
        net = objective.eval().net
        images = (net.pad(image, irn.pad) for image in _images(dataset, bar, irn.long_side))
        with products_in(irn.precision, device()):
            mean = set_mean_displacement(net, images)
        _store(stage.folder / "checkpoint.pt", "net.displacement.mean", mean)
        fields["mean_displacement"] = mean.tolist()
    values = {f"train_{name}": value for name, value in history[-1].items() if name not in ("epoch", "seconds")}
    values["train_seconds"] = sum(epoch["seconds"] for epoch in history)
    return stage.finish(values, device=device_name(), files=[stage.folder / "checkpoint.pt"], **fields)


def load_irn(run: Run, variant: str, seed: int, crf: str = "") -> IRN:
    """Load a trained relation network, in evaluation mode on the device that is there.

    Raises:
        UserError: it has not been trained, or with other settings.
    """
    stage = irn_stage(run, variant, seed, crf)
    if not stage.done():
        raise NotFinished(f"{stage.folder} has no trained relation network: run notebook 05_irn_refinement first.")
    path = stage.folder / "checkpoint.pt"
    state = load_checkpoint(path, stage.hash)["model"]
    objective, _ = build_relations(run.config.irn)
    load_state(objective, state, path, optional=_NOT_SAVED)
    return placed(folded(objective.net))


def resized(image: np.ndarray, long_side: int) -> np.ndarray:
    """Return an image H,W,3 uint8 at the size that the relation network looks at: long side as given, 0 as it is."""
    return resize_long(Sample(image), long_side).image if long_side else image


def build_relations(irn: IRNSettings) -> tuple[RelationObjective, list[Optimizer]]:
    """Build the relation network with its loss, and the optimiser that trains it."""
    backbone = build_backbone(irn.backbone, output_stride=irn.output_stride, weights=irn.weights)
    net = IRN(backbone, displacement=irn.displacement)
    groups = [{"params": net.edge.parameters(), "lr": irn.lr_edge}]
    if net.displacement is not None:
        groups.append({"params": net.displacement.parameters(), "lr": irn.lr_displacement})
    optimizer = torch.optim.SGD(groups, momentum=irn.momentum, weight_decay=irn.weight_decay)
    return RelationObjective(net, irn), [optimizer]


class _Sizes(TypedDict, total=False):
    resize_range: tuple[int, int]
    scale_range: tuple[float, float]


def _sizes(irn: IRNSettings) -> _Sizes:
    """Return the range of sizes in training: a factor of the image's size, or of the long side that is set."""
    if irn.long_side:
        low, high = (round(factor * irn.long_side) for factor in irn.scale)
        return {"resize_range": (low, high)}
    return {"scale_range": irn.scale}


def _images(dataset: Dataset, ids: tqdm, long_side: int) -> Iterator[Tensor]:
    for image_id in ids:
        image = to_tensor(resized(dataset.image(image_id), long_side))[None]
        yield image.to(device(), memory_format=torch.channels_last)


def _store(path: Path, name: str, value: Tensor) -> None:
    """Put a tensor into the network of a checkpoint."""
    checkpoint = load_checkpoint(path)
    checkpoint["model"][name] = value.cpu()
    with replacing(path) as temporary:
        torch.save(checkpoint, temporary)
