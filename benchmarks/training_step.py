"""What a training step costs in memory and time, ours beside a straightforward version of the same step.

    python benchmarks/training_step.py                               # all tables at the paper's sizes: half an hour
    python benchmarks/training_step.py speed --size 128 --batch 2    # half a minute
    python benchmarks/training_step.py memory variants --write       # rows into book/results/cost.json

memory: estimated under fake tensors, per variant, and for the full method option by option. Nothing is allocated.
speed: seconds of one step of the full method on the processor, the versions taking turns, after one step of each that
is not counted. Median; the resident peak is the rise over what was resident before the step (Linux).
variants: seconds of a step of every variant at the sizes of preset `small`.

Networks have random weights and images are noise: neither changes what a step costs.
"""

import argparse
import ctypes
import gc
import json
import math
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.evidence import estimate_step, measure_step, prepare_step
from sscnb.files import read_json, write_json
from sscnb.method import Objective, build_objective, class_activation, classification_loss, erode, region_mean
from sscnb.settings import LADDER, Config, Variant, load_config, override
from sscnb.stages import provenance

RESULTS = Path(__file__).parent.parent / "book" / "results" / "cost.json"
CLASSES = 20
TABLE_IX = ("baseline", "drs", "drs+cdr", "ssc")
# Noise with random weights does not train: steps too small to diverge keep the numbers ordinary for the processor.
CALM = {"cam.lr_backbone": 1e-6, "cam.lr_classifier": 1e-6, "reconstruction.lr": 1e-6}


# --- the straightforward version -----------------------------------------------------------------------------------


def plain_decoder(channels: int, width: int) -> nn.Sequential:
    """Table I for a stride of 16, from torch's modules; its parameters stand in the order of `ReconstructionNet`."""

    class LayerNorm(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

        def forward(self, x: Tensor) -> Tensor:
            flat, weight, bias = x.flatten(1), self.weight.view(1, -1, 1, 1), self.bias.view(1, -1, 1, 1)
            mean, deviation = (value.view(-1, 1, 1, 1) for value in (flat.mean(1), flat.std(1)))
            scale = weight / (deviation + 1e-5)
            return x * scale + (bias - mean * scale)

    class Residual(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return x + super().forward(x)

    layers = [
        nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect", bias=False),
        LayerNorm(width),
        nn.ReLU(inplace=True),
        Residual(
            nn.Conv2d(width, width, 3, padding=1),
            LayerNorm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            LayerNorm(width),
        ),
    ]
    for inputs, outputs in [(width, width), (width, width // 2), (width // 2, width // 4), (width // 4, width // 8)]:
        layers += [
            nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1, bias=False),
            nn.InstanceNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            LayerNorm(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width // 8, 3, 3, padding=1), nn.Tanh())


def one_hot_region_mean(features: Tensor, superpixels: Tensor) -> Tensor:
    """Eq. 7 with a mask per region: a tensor B,C,S,H,W."""
    masks = F.one_hot(superpixels, int(superpixels.max()) + 1).permute(0, 3, 1, 2).to(features.dtype)  # B,S,H,W
    inside = features[:, :, None] * masks[:, None]  # B,C,S,H,W
    means = inside.sum((-2, -1)) / masks.sum((-2, -1)).clamp(min=1)[:, None]
    return (means[..., None, None] * masks[:, None]).sum(2)


class Straightforward(nn.Module):
    """The objective of Eq. 10 as one writes it down, with the parameters of an `Objective`.

    The loss network is an ordinary one: its weights take gradients that nobody uses, so that its pass over the target
    image is recorded and gone through backward too. All classes are up-sampled and modulated; absent ones are masked.

    `frozen=True` freezes the loss network; `present=True` takes regions by scatter and present classes only.
    """

    def __init__(self, objective: Objective, *, frozen: bool = False, present: bool = False):
        super().__init__()
        if objective.variant.reconstruction == "early" or objective.variant.loss != "perceptual":
            raise ValueError("the straightforward version rebuilds from CAM features, with the perceptual loss.")
        self.objective, self.net, self.present, self.decoder = objective, objective.net, present, None
        if objective.decoder is not None:
            entry = objective.decoder.layers[0]
            self.decoder = plain_decoder(entry.in_channels, entry.out_channels)
            pairs = zip(self.decoder.parameters(), objective.decoder.parameters(), strict=True)
            with torch.no_grad():
                for mine, theirs in pairs:
                    mine.copy_(theirs)
            objective.decoder = None
            objective.perceptual.requires_grad_(not frozen)

    def forward(self, batch: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        settings, variant = self.objective.modulation, self.objective.variant
        logits, features, stages = self.net.forward_stages(batch["image"])
        losses = {"classification": classification_loss(logits, batch["labels"])}
        loss = losses["classification"]
        if self.decoder is not None:
            losses["reconstruction"] = self.perceptual(self.decoder(features), batch["image"])
            loss = loss + self.objective.reconstruction.beta * losses["reconstruction"]
        if variant.modulation and epoch >= settings.warmup_epochs:
            losses["alignment"] = self.alignment(features, batch["superpixels"], batch["labels"])
            loss = loss + settings.beta * losses["alignment"]
        return {"loss": loss, **losses}

    def perceptual(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        parts = self.objective.perceptual
        pairs = zip(self.features(reconstruction), self.features(image), strict=True)
        return sum(w * F.l1_loss(x, y) for w, (x, y) in zip(parts.stage_weights, pairs, strict=True))

    def features(self, x: Tensor) -> list[Tensor]:
        maps = []
        for blocks in self.objective.perceptual.network.stages:
            ends = []
            for block in blocks:
                x = block(x)
                ends.append(x)
            maps.append(ends[-1 if self.objective.perceptual.taps == "last" else 0])
        return maps

    def alignment(self, features: Tensor, superpixels: Tensor, labels: Tensor) -> Tensor:
        settings = self.objective.modulation
        regions = superpixels[:, ::2, ::2]
        mask, mean = labels[:, :, None, None], one_hot_region_mean
        if self.present:
            image, present = labels.nonzero(as_tuple=True)
            features, regions, mask, mean = features[image, present][:, None], regions[image], 1, region_mean
        large = F.interpolate(features, size=regions.shape[-2:], mode="bilinear", align_corners=False)
        activation = class_activation(large) * mask
        consistent = class_activation(mean(large, regions)) * mask
        reliable = erode((activation > settings.threshold).float(), settings.erosion)
        target = torch.maximum(consistent, activation * reliable).detach()
        return ((activation - target) ** 2).mean((-2, -1)).sum() / labels.sum()


def build_straightforward(config: Config, variant: Variant, num_classes: int, **steps: bool) -> Straightforward:
    return Straightforward(build_objective(config, variant, num_classes), **steps)


# --- the tables ----------------------------------------------------------------------------------------------------

CHECKPOINT = {"reconstruction.checkpoint": True}
PLAIN = {"build": build_straightforward, "channels_last": False}
VERSIONS: dict[str, dict[str, Any]] = {
    "straightforward": PLAIN,
    "straightforward, loss network frozen": {**PLAIN, "build": partial(build_straightforward, frozen=True)},
    "ours": {},
    "ours, not channels-last": {"channels_last": False},
    "ours, checkpointing": {"overrides": CHECKPOINT},
    "ours, bf16": {"precision": "bf16"},
}
# What is done to the full method, one after the other. From the third to "ours": distances are taken on the way through
# the loss network, norms keep one map, maps of frozen stages are dropped.
OPTIONS: dict[str, dict[str, Any]] = {
    "straightforward": VERSIONS["straightforward"],
    "straightforward, loss network frozen": VERSIONS["straightforward, loss network frozen"],
    "the same, regions by scatter, present classes": {
        "build": partial(build_straightforward, frozen=True, present=True)
    },
    "ours": {},
    "ours, bf16": VERSIONS["ours, bf16"],
    "ours, bf16, checkpointing": {"precision": "bf16", "overrides": CHECKPOINT},
    "ours, checkpointing": VERSIONS["ours, checkpointing"],
}


def memory_rows(size: int, batch: int) -> list[dict[str, Any]]:
    """Estimate peaks per variant and, for the full method, per option."""
    rows = []

    def estimate(variant: str, options: str, preset: str = "voc") -> None:
        choices = {k: v for k, v in OPTIONS[options].items() if k != "channels_last"}  # as much memory in either layout
        config = override(load_config(preset), choices.pop("overrides", {}))
        values = estimate_step(config, variant, batch=batch, crop=size, num_classes=CLASSES, **choices)
        setting = setting_of(config, batch, size, choices.get("precision", "no"))
        rows.append(row("peak memory", values["peak"], variant, options, setting, unit="GiB", parts=rounded(values)))

    for variant in TABLE_IX:
        estimate(variant, "straightforward", "voc_released")
        for options in OPTIONS if variant == "ssc" else ("straightforward", "ours", "ours, bf16"):
            estimate(variant, options)
    return rows


def speed_rows(size: int, batch: int, repetitions: int, names: list[str]) -> list[dict[str, Any]]:
    """Time the full method's step in several versions that take turns."""
    steps, config = {}, override(load_config("voc"), CALM)
    for name in names:
        version = {**VERSIONS[name]}
        changed = override(config, version.pop("overrides", {}))
        steps[name] = prepare_step(changed, "ssc", batch=batch, crop=size, num_classes=CLASSES, **version)
    first = {name: step() for name, step in steps.items()}
    for name, losses in first.items():
        print(f"{name}: " + ", ".join(f"{k} {v.item():.6f}" for k, v in losses.items()), flush=True)
    times = {name: [] for name in names}
    loads = []
    for repetition in range(repetitions):
        for name, step in steps.items():
            gc.collect()
            before = resident("VmRSS", reset=True)
            wall, processor = time.perf_counter(), time.process_time()
            loss = step()["loss"].item()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            if not math.isfinite(loss):
                raise RuntimeError(f"{name} diverged: its time would not be that of ordinary numbers.")
            times[name].append((wall, processor, (resident("VmHWM") - before) / 2**30))
            loads.append(round(os.getloadavg()[0], 2))
            print(f"{repetition + 1}/{repetitions} {name}: {wall:.2f} s, {processor:.2f} s of processor", flush=True)
    rows = []
    for name in names:
        precision = VERSIONS[name].get("precision", "no")
        setting = setting_of(config, batch, size, precision)
        wall, processor, peak = zip(*times[name], strict=True)
        about = {"load": [min(loads), max(loads)], "threads": torch.get_num_threads()}
        extra = {**about, "runs": rounded(wall), "processor_seconds": rounded(processor)}
        rows.append(row("seconds per step", statistics.median(wall), "ssc", name, setting, unit="s", **extra))
        rows.append(row("resident peak", max(peak), "ssc", name, setting, unit="GiB", **about))
        if name == "ours":
            for other in names:
                if other.startswith("straightforward"):
                    pairs = list(zip(times[other], times["ours"], strict=True))
                    ratios = [[theirs[k] / ours[k] for theirs, ours in pairs] for k in (0, 1)]
                    extra = {**about, "runs": rounded(ratios[0]), "of_processor_seconds": rounded(ratios[1])}
                    value = statistics.median(ratios[0])
                    rows.append(row("speed-up", value, "ssc", f"ours over {other}", setting, unit="x", **extra))
    return rows


def variant_rows(repetitions: int) -> list[dict[str, Any]]:
    """Time a step of every variant at the sizes of preset `small`."""
    rows, config = [], override(load_config("small"), CALM)
    classes = len(config.data.scenes.classes)
    for variant in LADDER:
        measured = measure_step(config, variant, repetitions=repetitions, num_classes=classes)
        setting = setting_of(config, config.cam.batch_size, config.cam.crop, "no", classes=classes)
        threads = torch.get_num_threads()
        rows.append(row("seconds per step", measured["seconds"], variant, "ours", setting, unit="s", threads=threads))
    return rows


def gpu_rows(size: int, batch: int, repetitions: int) -> list[dict[str, Any]]:
    """Measure memory and seconds per variant on a GPU."""
    rows, config, name = [], override(load_config("voc"), CALM), torch.cuda.get_device_name()
    for variant in TABLE_IX:
        for version in ("straightforward", "ours", "ours, bf16"):
            measured = measure_step(
                config, variant, device="cuda", batch=batch, crop=size, num_classes=CLASSES, repetitions=repetitions,
                **VERSIONS[version],
            )  # fmt: skip
            setting = setting_of(config, batch, size, VERSIONS[version].get("precision", "no"))
            about = {"device": name, "parts": rounded(measured)}
            rows.append(row("measured memory", measured["reserved"], variant, version, setting, unit="GiB", **about))
            rows.append(row("seconds per step", measured["seconds"], variant, version, setting, unit="s", **about))
    return rows


# --- rows ----------------------------------------------------------------------------------------------------------


def setting_of(config: Config, batch: int, size: int, precision: str, classes: int = CLASSES) -> dict[str, Any]:
    return {
        "preset": config.preset,
        "batch": batch,
        "crop": size,
        "classes": classes,
        "precision": precision,
        "backbone": config.cam.backbone,
        "loss_network": config.reconstruction.loss_network,
    }


def row(metric: str, value: float, variant: str, options: str, setting: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "value": round(value, 3),
        "variant": variant,
        "options": options,
        "setting": setting,
        "device": "cpu",
        "processor": processor_name(),
        "load": round(os.getloadavg()[0], 2),
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
        **more,
    }


def processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def rounded(values: Any) -> Any:
    return {k: round(v, 3) for k, v in values.items()} if isinstance(values, dict) else [round(v, 3) for v in values]


def resident(key: str, *, reset: bool = False) -> int:
    """Return VmRSS (now) or VmHWM (peak) of this process in bytes, 0 where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    if reset:
        # What an earlier step has freed goes back to the system, and the peak starts again from what is resident now.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def show(rows: list[dict[str, Any]]) -> None:
    for r in rows:
        setting = f"{r['setting']['preset']}, {r['setting']['batch']} x {r['setting']['crop']} px"
        print(f"{r['metric']:16} {r['variant']:22} {r['options']:48} {r['value']:9.3f} {r['unit']:4} {setting}")


def store(rows: list[dict[str, Any]]) -> None:
    """Put rows into the results file, in place of older ones of the same measurement."""

    def key(r: dict[str, Any]) -> str:
        return json.dumps([r[name] for name in ("metric", "variant", "options", "setting", "device")])

    fresh = {key(r) for r in rows}
    kept = [r for r in read_json(RESULTS)["rows"] if key(r) not in fresh] if RESULTS.exists() else []
    write_json(RESULTS, {"rows": [*kept, *rows]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help="memory, speed, variants, gpu; without any, all that can run here")
    parser.add_argument("--size", type=int, default=512, help="crop in pixels")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS)[:3], help="for speed")
    parser.add_argument("--write", action="store_true", help=f"rows into {RESULTS.name}")
    arguments = parser.parse_args()
    size, batch, repetitions = arguments.size, arguments.batch, arguments.repetitions
    tables = {
        "memory": lambda: memory_rows(size, batch),
        "speed": lambda: speed_rows(size, batch, repetitions, arguments.versions),
        "variants": lambda: variant_rows(repetitions),
        "gpu": lambda: gpu_rows(size, batch, repetitions),
    }
    default = [name for name in tables if name != "gpu" or torch.cuda.is_available()]
    for name in arguments.tables or default:
        if name not in tables:
            parser.error(f"there is no table {name!r}: choose from {', '.join(tables)}")
        rows = tables[name]()
        show(rows)
        if arguments.write:
            store(rows)


if __name__ == "__main__":
    main()
