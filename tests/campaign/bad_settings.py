"""Settings and options that are wrong; nothing is written for them, not even a folder."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from campaign.judge import Case
from campaign.world import scenes_words

# Values of the wrong type, by what the setting is; and those out of its range.
_WRONG = {
    "number": ("text", None, [], {}, True, "nan", "inf"),
    "rate": (-0.1, 1e9),
    "share": (-0.1, 1.5),
    "whole": (-1, 1.5, 10**30 + 0.5),
    "choice": ("", "another", 3, None),
    "range": ([], [1], [3, 2, 1], [-1, 2], "1, 2", [2, 1]),
}
SETTINGS: dict[str, tuple[str, ...]] = {
    "cam.lr_backbone": ("number", "rate"),
    "cam.momentum": ("number", "share"),
    "cam.weight_decay": ("number", "share"),
    "cam.delta": ("number", "share"),
    "cam.epochs": ("whole",),
    "cam.crop": ("whole",),
    "cam.batch_size": ("whole",),
    "cam.backbone": ("choice",),
    "cam.fidelity": ("choice",),
    "cam.precision": ("choice",),
    "cam.output_stride": ("choice",),
    "cam.resize": ("range",),
    "modulation.threshold": ("number", "share"),
    "modulation.erosion": ("whole",),
    "inference.threshold": ("number", "share"),
    "inference.long_side": ("whole",),
    "superpixels.max_regions": ("whole",),
    "irn.crf": ("choice",),
    "irn.foreground": ("share",),
    "irn.scale": ("range",),
    "pseudo.threshold": ("share",),
    "pseudo.keep": ("share",),
    "pseudo.trust": ("choice",),
    "segmentation.method": ("choice",),
    "segmentation.area": ("range",),
    "segmentation.lr": ("number", "rate"),
    "reconstruction.betas": ("range",),
}
OTHERS: tuple[dict[str, Any], ...] = (
    {"cam.power": -3}, {"cam.clip": -1}, {"cam.delta": -2}, {"cam.delta": 0}, {"modulation.threshold": 7},
    {"seeds": [0, 0]}, {"seeds": []}, {"seeds": 0}, {"seeds": ["0"]}, {"seeds": [-1]}, {"variants": []},
    {"variants": ["ssc", "ssc"]}, {"variants": "ssc"}, {"variants": ["sssc"]}, {"variants": ["ssc@"]},
    {"variants": ["../ssc"]}, {"variants": ["ssc@cam.epochs=0"]}, {"variants": ["ssc@modulation.threshold=nan"]},
    {"variants": ["ssc@data.scenes.seed=1"]}, {"variants": [""]}, {"variants": [7]},
    {"superpixels.max_regions": 0}, {"superpixels.max_regions": 257}, {"inference.scales": []},
    {"inference.scales": [1e-9]}, {"inference.scales": [0]}, {"inference.scales": ["1"]}, {"inference.scales": 1},
    {"modulation.beta": -5}, {"reconstruction.beta": -5}, {"reconstruction.width": 7}, {"pseudo.beta": 0},
    {"pseudo.tol": 0}, {"irn.radius": 1}, {"segmentation.rates": []}, {"segmentation.rates": [0]},
    {"segmentation.test_scales": []}, {"data.train_split": "../train"}, {"data.train_split": "a/b"},
    {"data.seed_split": ""}, {"data.source": "web"}, {"data.scenes.size": 47}, {"data.scenes.size": "48"},
    {"data.scenes.train": 0}, {"data.scenes.families": 1}, {"data.scenes.seed": -1}, {"data.scenes": 3},
    {"data.scenes": {}}, {"cam": {}},
    {"cam.epoch": 2}, {"": 2}, {"cam.epochs.more": 2}, {"preset": "small"}, {"data.subset": "no_such_list"},
    {"refined": "ssc"}, {"refined": [1]}, {"cam.weights": 3}, {"cam.detach": 7}, {"cam.detach": -1},
    {"inference.batch_size": 0}, {"inference.flip": "yes"}, {"irn.displacement": 1}, {"irn.background": 2},
    {"data.scenes.objects": [0.5]}, {"data.scenes.blur": [2, 1]}, {"data.scenes.jpeg_quality": 1000},
    {"data.scenes.lengths": [[0, 0], [0, 0], [0, 0]]}, {"data.scenes.same_class": 7}, {"data.scenes.clutter": -1},
)  # fmt: skip
WORDS: tuple[tuple[str, ...], ...] = (
    ("--preset", "tinny"), ("--preset", "folder"), ("--preset", "../tiny"), ("--data-root", "{place}"),
    ("--run-dir", "{place}/canary.txt"), ("--run-dir", "{place}/canary.txt/a"), ("--run-dir", "~nobody-here/x"),
    ("--run-dir", "/proc/x"), ("--run-dir", "{long}"), ("--seed", "-1"), ("--seed", "1.5"), ("--variant", "sssc"),
    ("--variant", "../../x"), ("--variant", ""), ("--source", "another"), ("--crf", "thick"), ("--overrides", "["),
    ("--overrides", "[]"), ("--overrides", "null"), ("--overrides", '{"cam.epochs": NaN}'), ("--prest", "tiny"),
    ("--run-dir", "{place}/loop"),
)  # fmt: skip


def _overridden(overrides: dict[str, Any], place: Path) -> list[str]:
    return scenes_words(place / "new", overrides=overrides)


def _worded(words: tuple[str, ...], place: Path) -> list[str]:
    (place / "loop").symlink_to("loop")
    base = scenes_words(place / "new")
    return [*base, *(word.replace("{place}", str(place)).replace("{long}", "x" * 300) for word in words)]


def _finished(overrides: dict[str, Any], place: Path) -> list[str]:
    return scenes_words(place / "run", overrides=overrides)


def _reproduced(words: tuple[str, ...], place: Path) -> list[str]:
    base = ["reproduce", "--preset", "tiny", "--run-dir", str(place / "new"), "--dry-run"]
    return [*base, *(word.replace("{place}", str(place)).replace("{long}", "x" * 300) for word in words)]


def cases() -> Iterator[Case]:
    """One wrong value a case; then options; then settings that are well but not those of a finished run."""
    for name, kinds in SETTINGS.items():
        for value in (value for kind in kinds for value in _WRONG[kind]):
            yield Case("wrong setting", f"{name} {value!r}", partial(_overridden, {name: value}))
    for overrides in OTHERS:
        yield Case("wrong setting", json.dumps(overrides), partial(_overridden, overrides))
    for words in WORDS:
        yield Case("wrong option", " ".join(words)[:60], partial(_worded, words))
    for words in (WORDS[0], WORDS[3], WORDS[4], WORDS[6], WORDS[8], ("--seed", "-1")):
        yield Case("wrong option", "reproduce " + " ".join(words)[:60], partial(_reproduced, words))
    for overrides in (
        {"cam.epochs": 2}, {"cam.delta": 0.5}, {"data.scenes.seed": 1}, {"inference.threshold": 0.3},
        {"irn.epochs": 2}, {"pseudo.threshold": 0.3}, {"segmentation.epochs": 2}, {"superpixels.max_regions": 32},
    ):  # fmt: skip
        arrange = partial(_finished, overrides)
        yield Case("other settings", json.dumps(overrides), arrange, needs=("run",), says=("other settings",))


def sampled() -> Iterator[Case]:
    """Every 27th."""
    return (case for number, case in enumerate(cases()) if number % 27 == 0)
