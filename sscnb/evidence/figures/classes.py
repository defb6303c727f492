"""Class by class: bars, boxes, and maps of which class stands with which."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sscnb.evidence.figures.style import COLOURS

_ROOM_FOR_NUMBERS = 11  # more classes than this make the cells of a map too small


def class_bars(panels: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str]) -> Figure:
    """Draw one group of horizontal bars a class, one bar a series; NaN leaves a gap.

    Args:
        panels: by the label of the axis of values, the series by name, each with a value a class.
        names: of the classes, from the top down.
    """
    number = max(len(series) for series in panels.values())
    size = (1.6 + 4 * len(panels), 0.4 + 0.2 * len(panels) + len(names) * (0.16 + 0.12 * number))
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis, (label, series) in zip(axes[0], panels.items(), strict=True):
        _draw_bars(axis, series, names)
        axis.set(xlabel=label)
    axes[0][0].invert_yaxis()  # all of them, since they share it
    return figure


def _draw_bars(axis: Axes, series: Mapping[str, Sequence[float]], names: Sequence[str]) -> None:
    height = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        at = np.arange(len(names)) + (i - (len(series) - 1) / 2) * height
        axis.barh(at, np.array(values, dtype=float), height=height, color=COLOURS[i % len(COLOURS)], label=name)
    axis.set_yticks(range(len(names)), names)
    if len(series) > 1:
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)


def image_counts(counts: pd.DataFrame) -> Figure:
    """Draw how many images show each class.

    Args:
        counts: one row a class, one column a split.
    """
    axis = counts.plot.barh(color=COLOURS, width=0.8, figsize=(5.6, 0.8 + 0.22 * len(counts)))
    axis.invert_yaxis()
    axis.set(xlabel="images that show the class")
    axis.legend(frameon=False)
    return axis.figure


def class_boxes(values: pd.DataFrame, label: str) -> Figure:
    """Draw one horizontal box a column, a class; NaN is left out. `label` names the values."""
    figure, axis = plt.subplots(figsize=(5.6, 0.8 + 0.24 * len(values.columns)))
    sns.boxplot(values, orient="h", ax=axis, color=COLOURS[0], fliersize=2, linewidth=0.8)
    axis.set(xlabel=label)
    return figure


def share_maps(
    panels: Mapping[str, np.ndarray], names: Sequence[str], *, rows: str, columns: str, label: str
) -> Figure:
    """Draw shares between classes in percent as heat maps side by side, with numbers in them where there is room.

    Args:
        panels: maps C,C in percent by their title; a single one may have the title "".
        names: of the classes.
        rows, columns: what the classes of a map's rows and of its columns are.
        label: of the colours.
    """
    side, number = 2.2 + 0.24 * len(names), len(panels)
    figure, axes = plt.subplots(
        1,
        number,
        figsize=((0.4 + 0.85 * number) * side, side),  # the colours' bar takes 0.4
        sharey=True,
        squeeze=False,
        layout="constrained" if number > 1 else None,
    )
    for axis, (title, shares) in zip(axes[0], panels.items(), strict=True):
        sns.heatmap(
            shares,
            ax=axis,
            cmap="crest",
            vmin=0,
            vmax=100,
            annot=len(names) <= _ROOM_FOR_NUMBERS,
            fmt=".0f",
            xticklabels=names,
            yticklabels=names,
            cbar=axis is axes[0][-1],
            cbar_kws={"label": label},
        )
        axis.set(xlabel=columns, ylabel=rows if axis is axes[0][0] else "", title=title)
    return figure
