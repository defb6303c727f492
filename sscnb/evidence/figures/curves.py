"""Lines: losses over epochs, measures along the threshold, measures along a parameter."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sscnb.evidence.figures.style import COLOURS, canvas, legend_below
from sscnb.evidence.metrics import describe

NO_LOSS = ("epoch", "seconds", "loss", "gap")  # of what stands in a history, no term of the objective
_SYMBOLS = {"beta_p": r"$\beta_p$", "beta_a": r"$\beta_a$", "r": "$r$"}


def loss_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw each loss over the epochs, one panel a loss, one line a variant."""
    kinds = list(dict.fromkeys(k for h in histories.values() for k in h[0] if k not in NO_LOSS))
    figure, axes = canvas(1, len(kinds), 2.3)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for colour, (name, history) in zip(cycle(COLOURS), histories.items(), strict=False):
            points = [(e["epoch"] + 1, e[kind]) for e in history if kind in e]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=name)
        axis.set(title=describe(f"train_{kind}").title, xlabel="epoch")
        axis.set_ylim(bottom=0)
    if len(histories) > 1:
        legend_below(figure)
    return figure


def gap_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], wanted: float = 0.1) -> Figure:
    """Draw the reconstruction gap over the epochs, one line a variant with a decoder; dashed, what is asked for.

    Args:
        histories: of `train_cam`; epochs before the reconstruction counts have no gap.
        wanted: the gap from which on a decoder is said to look at its input.
    """
    figure, ((axis,),) = canvas(1, 1, 2.4)
    for colour, (name, history) in zip(cycle(COLOURS), histories.items(), strict=False):
        points = [(e["epoch"] + 1, 100 * e["gap"]) for e in history if "gap" in e]
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=name)
    axis.axhline(100 * wanted, color="0.5", linestyle="--", linewidth=1)
    axis.set(xlabel="epoch", ylabel=describe("reconstruction/gap").heading)
    if axis.get_legend_handles_labels()[0]:
        legend_below(figure)
    return figure


def threshold_curves(curves: Mapping[str, Mapping[str, Sequence[float]]], fixed: float) -> Figure:
    """Draw seed mIoU, over- and under-activation against the threshold, one line a variant.

    The dot marks each curve's best mIoU, which is known only with ground truth; the dashed line the fixed threshold.
    """
    panels = {name: describe(f"seed/{name}").heading for name in ("mIoU", "over", "under")}
    figure, axes = canvas(1, 3, 2.5)
    for axis, (key, title) in zip(axes[0], panels.items(), strict=True):
        for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
            x, y = np.array(curve["threshold"]), 100 * np.array(curve[key])
            axis.plot(x, y, color=colour, label=name)
            if key == "mIoU":
                axis.plot(x[y.argmax()], y.max(), "o", color=colour, markersize=4)
        axis.axvline(fixed, color="0.5", linestyle="--", linewidth=1)
        axis.set(xlabel="threshold", title=title, xlim=(0, 1))
        axis.set_ylim(bottom=0)
    if len(curves) > 1:
        legend_below(figure)
    return figure


def sweep_curves(table: pd.DataFrame, column: str) -> Figure:
    """Draw seed mIoU along each parameter of Fig. 7, one panel a parameter; "not run" where nothing was measured.

    Args:
        table: of `comparison.sweeps`.
        column: of the table, whose values are drawn.
    """
    groups = dict(list(table.groupby("parameter", sort=False)))
    figure, axes = canvas(1, len(groups), 2.3, sharey=True)
    for axis, (parameter, group) in zip(axes[0], groups.items(), strict=True):
        points = group[["value", column]].dropna().astype(float)
        if len(points):
            axis.plot(points["value"], points[column], marker="o")
        if len(points) < len(group):
            some = f"{len(points)} of {len(group)} run" if len(points) else "not run"
            axis.text(0.5, 0.5 if points.empty else 0.05, some, ha="center", transform=axis.transAxes)
        axis.set(xlabel=_SYMBOLS[parameter], xscale="linear" if parameter == "r" else "log")
        axis.set_xticks(group["value"], [f"{value:g}" for value in group["value"]])
        axis.minorticks_off()
        low, high = group["value"].min(), group["value"].max()
        axis.set_xlim((low - 1, high + 1) if parameter == "r" else (low / 1.3, high * 1.3))
    axes[0][0].set_ylabel(f"seed {describe('seed/mIoU').heading}")
    return figure


def premise_curves(table: pd.DataFrame, here: Mapping[str, float | str], paper_cells: float) -> Figure:
    """Draw over- and under-activation and the best threshold against the cells that an object covers.

    A line joins the settings that differ in their crop alone; what differs in more stands beside it, hollow. A diamond
    is the preset's.

    Args:
        table: of `premise_table`.
        here: `train_images`, `crop`, `epochs`, `clip` and `peaks` of this run, whose point is ringed where it is in the
            table.
        paper_cells: where the paper's geometry lies; dotted.
    """
    figure, (axes,) = canvas(1, 2, 2.6)
    same = table.groupby(["train_images", "epochs", "clip", "peaks"])["crop"].transform("size")
    line, others = table[same == same.max()].sort_values("cells"), table[same < same.max()]
    own = table[(table[list(here)] == pd.Series(here)).all(axis=1)]
    preset = table[table.index == "preset"]
    panels = ("seed/over", "seed/under"), ("seed/best_threshold",)
    for axis, columns in zip(axes, panels, strict=True):
        for colour, column in zip(COLOURS, columns, strict=False):
            axis.plot(line["cells"], line[column], marker="o", markersize=4, color=colour, label=describe(column).title)
            axis.plot(others["cells"], others[column], "o", markersize=4, color=colour, fillstyle="none")
            axis.plot(own["cells"], own[column], "o", markersize=10, color=colour, fillstyle="none")
            axis.plot(preset["cells"], preset[column], "D", markersize=6, color=colour)
        axis.axvline(paper_cells, color="0.5", linestyle=":", linewidth=1)
        axis.set(xlabel="cells that an object covers", xlim=(0, None), ylim=(0, None))
    axes[0].set_ylabel("%")
    axes[0].legend(frameon=False)
    axes[1].set_ylabel(describe("seed/best_threshold").heading)
    return figure


def size_curves(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Draw what steps change against the share of the image that objects cover, one panel a step, one line a data set.

    A line is the mean over random seeds; the dots are theirs, where there are several.

    Args:
        panels: of `size_panels`.
    """
    figure, axes = canvas(1, len(panels), 2.5, sharey=True)
    colours = dict(zip(dict.fromkeys(name for tables in panels.values() for name in tables), COLOURS, strict=False))
    for axis, (title, tables) in zip(axes[0], panels.items(), strict=True):
        axis.axhline(0, color="0.5", linewidth=1)
        for name, table in tables.items():
            mean = table.groupby("share")["change"].mean()
            axis.plot(mean.index, mean, marker="o", markersize=4, color=colours[name], label=name)
            if table["seed"].nunique() > 1:
                axis.plot(table["share"], table["change"], ".", markersize=3, color=colours[name], alpha=0.6)
        axis.set(title=title, xlabel="objects (% of image)", xlim=(0, None))
    axes[0][0].set_ylabel("change (points)")
    legend_below(figure)
    return figure
