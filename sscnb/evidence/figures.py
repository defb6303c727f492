"""One look for every figure: the same colour map for activation, the same palette for classes, the same type."""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import cast

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from sscnb.datasets import IGNORE, Dataset, voc_palette
from sscnb.files import replacing

ACTIVATION = "inferno"  # perceptually even, readable in grey
COLOURS = sns.color_palette("colorblind").as_hex()  # of variants, in the order of the ladder
PAPER = "0.45"  # the paper's own figures are grey


def use_style() -> None:
    """Set the look of all figures; notebooks call it once."""
    sns.set_theme(style="ticks", context="notebook", font_scale=0.85)
    plt.rcParams.update(
        {
            "figure.dpi": 160,  # sharp on high-density screens
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "figure.facecolor": "white",  # figures stay readable in the dark theme
            "image.interpolation": "nearest",
        }
    )


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=160, bbox_inches="tight")


def colour_mask(mask: np.ndarray) -> np.ndarray:
    """Return a mask H,W of class indices as colours H,W,3 uint8: VOC's palette, ignored pixels light grey."""
    palette = np.array(voc_palette(), dtype=np.uint8).reshape(256, 3)
    palette[IGNORE] = 224
    return palette[mask]


def overlay_mask(image: np.ndarray, mask: np.ndarray, *, opacity: float = 0.6) -> np.ndarray:
    """Lay a mask's colours over an image; background and ignored pixels stay as they are."""
    shown = ((mask != 0) & (mask != IGNORE))[..., None] * opacity
    return (image * (1 - shown) + colour_mask(mask) * shown).astype(np.uint8)


def truth(dataset: Dataset, image_id: str) -> np.ndarray:
    """Return an image under its true mask, for looking at; plain grey where it has none."""
    image = dataset.image(image_id)
    if not dataset.mask_path(image_id).is_file():
        return np.full_like(image, 224)
    return overlay_mask(image, dataset.mask(image_id))


def overlay_activation(image: np.ndarray, activation: np.ndarray, *, opacity: float = 0.65) -> np.ndarray:
    """Lay an activation H,W in [0, 1] over an image, as a heat map over its grey version."""
    heat = matplotlib.colormaps[ACTIVATION](np.clip(activation, 0, 1))[..., :3] * 255
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    return (grey * (1 - opacity) + heat * opacity).astype(np.uint8)


def overlay_boundaries(image: np.ndarray, regions: np.ndarray, colour: Sequence[int] = (255, 220, 0)) -> np.ndarray:
    """Draw the boundaries of regions H,W onto an image."""
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    drawn = image.copy()
    drawn[edge] = colour
    return drawn


def at_size(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image H,W,3 at the size of a map computed from it."""
    return np.array(Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def save_row(pictures: Sequence[np.ndarray], path: str | os.PathLike, *, height: int = 240) -> None:
    """Write pictures H,W,3 uint8 side by side at one height, without titles, as one PNG."""
    parts = [at_size(p, (height, max(1, round(p.shape[1] * height / p.shape[0])))) for p in pictures]
    gap = np.full((height, 4, 3), 255, np.uint8)
    row = np.hstack([piece for part in parts for piece in (part, gap)][:-1])
    with replacing(path) as temporary:
        Image.fromarray(row).save(temporary, "PNG", optimize=True)


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    *,
    side: float = 1.55,
) -> Figure:
    """Show rows of pictures under common column titles; `names` stand at the rows' left.

    Args:
        rows: equally long rows of H,W,3 uint8 pictures.
        side: width of one picture in inches.
    """
    height, width = rows[0][0].shape[:2]
    shape = (len(rows), max(len(row) for row in rows))
    size = (shape[1] * side, shape[0] * side * height / width + 0.25)
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout=layout)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for line, row in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row, strict=False):
            axis.imshow(picture)
    for axis, title in zip(axes[0], columns, strict=False):
        axis.set_title(title, fontsize="small")
    for line, name in zip(axes, names, strict=False):
        line[0].set_ylabel(name, fontsize="small")
    return figure


def loss_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw each loss over the epochs, one panel a loss, one line a variant."""
    kinds = list(dict.fromkeys(k for h in histories.values() for k in h[0] if k not in ("epoch", "seconds", "loss")))
    figure, axes = plt.subplots(1, len(kinds), figsize=(3.1 * len(kinds), 2.6), squeeze=False, layout="constrained")
    for axis, kind in zip(axes[0], kinds, strict=True):
        for colour, (name, history) in zip(cycle(COLOURS), histories.items(), strict=False):
            points = [(e["epoch"] + 1, e[kind]) for e in history if kind in e]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=name)
        axis.set(title=f"{kind} loss", xlabel="epoch")
        axis.set_ylim(bottom=0)
    if len(histories) > 1:
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def threshold_curves(curves: Mapping[str, Mapping[str, Sequence[float]]], fixed: float) -> Figure:
    """Draw seed mIoU, over- and under-activation against the threshold, one line a variant.

    The dot marks each curve's best mIoU, which is known only with ground truth; the dashed line the fixed threshold.
    """
    panels = {"mIoU": "mIoU (%)", "over": "over-activation (%)", "under": "under-activation (%)"}
    figure, axes = plt.subplots(1, 3, figsize=(9.4, 2.9), layout="constrained")
    for axis, (key, title) in zip(axes, panels.items(), strict=True):
        for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
            x, y = np.array(curve["threshold"]), 100 * np.array(curve[key])
            axis.plot(x, y, color=colour, label=name)
            if key == "mIoU":
                axis.plot(x[y.argmax()], y.max(), "o", color=colour, markersize=4)
        axis.axvline(fixed, color="0.5", linestyle="--", linewidth=1)
        axis.set(xlabel="threshold", title=title, xlim=(0, 1))
        axis.set_ylim(bottom=0)
    if len(curves) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def class_bars(
    values: Mapping[str, Sequence[float]], names: Sequence[str], label: str, *, axis: Axes | None = None
) -> Figure:
    """Draw one group of horizontal bars a class, one bar a series; NaN leaves a gap."""
    if axis is None:
        _, axis = plt.subplots(figsize=(5.6, 0.6 + len(names) * (0.16 + 0.12 * len(values))), layout="constrained")
    height = 0.8 / len(values)
    for i, (name, series) in enumerate(values.items()):
        at = np.arange(len(names)) + (i - (len(values) - 1) / 2) * height
        axis.barh(at, np.array(series, dtype=float), height=height, color=COLOURS[i % len(COLOURS)], label=name)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(xlabel=label)
    if len(values) > 1:
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    return cast("Figure", axis.figure)  # none of the axes here is part of a subfigure
