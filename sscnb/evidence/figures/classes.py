"""Class by class: bars, boxes, and maps of which class stands with which."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sscnb.evidence.figures.style import COLOURS, COLUMN, LETTER, LINE, canvas, legend_below

_CELL = 0.45  # inches, at most, of a map's cells
_NUMBER = 0.28  # inches, of the smallest cell with room for a number


def class_bars(panels: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str]) -> Figure:
    """Draw one group of horizontal bars a class, one bar a series; NaN leaves a gap.

    Args:
        panels: by the label of the axis of values, the series by name, each with a value a class.
        names: of the classes, from the top down.
    """
    number = max(len(series) for series in panels.values())
    height = 0.6 + len(names) * (0.1 + 0.1 * max(number, 1))
    figure, axes = canvas(1, len(panels), height, sharey=True)
    for axis, (label, series) in zip(axes[0], panels.items(), strict=True):
        _draw_bars(axis, series, names)
        axis.set(xlabel=label)
    axes[0][0].invert_yaxis()  # all of them, since they share it
    if number > 1:
        legend_below(figure)
    return figure


def _draw_bars(axis: Axes, series: Mapping[str, Sequence[float]], names: Sequence[str]) -> None:
    height = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        at = np.arange(len(names)) + (i - (len(series) - 1) / 2) * height
        axis.barh(at, np.array(values, dtype=float), height=height, color=COLOURS[i % len(COLOURS)], label=name)
    axis.set_yticks(range(len(names)), names)
    axis.margins(y=0.02)


def image_counts(counts: pd.DataFrame) -> Figure:
    """Draw how many images show each class.

    Args:
        counts: one row a class, one column a split.
    """
    figure, ((axis,),) = canvas(1, 1, 0.6 + 0.22 * len(counts))
    counts.plot.barh(ax=axis, color=COLOURS, width=0.8, legend=False)
    axis.invert_yaxis()
    axis.set(xlabel="images that show the class")
    legend_below(figure)
    return figure


def class_boxes(values: pd.DataFrame, label: str) -> Figure:
    """Draw one horizontal box a column, a class; NaN is left out. `label` names the values."""
    figure, ((axis,),) = canvas(1, 1, 0.6 + 0.22 * len(values.columns))
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
    label_width = 0.1 + LETTER * max(map(len, names))
    room = COLUMN - label_width - 2 * LINE - 1  # the colours' bar takes an inch
    cell = min(_CELL, (room / len(panels) - 0.1) / len(names))
    upright = label_width > cell
    height = cell * len(names) + (label_width if upright else LINE) + 3 * LINE
    figure, axes = canvas(1, len(panels), height, sharey=True, layout="compressed")
    for axis, (title, shares) in zip(axes[0], panels.items(), strict=True):
        sns.heatmap(
            shares,
            ax=axis,
            cmap="crest",
            vmin=0,
            vmax=100,
            annot=cell >= _NUMBER,
            fmt=".0f",
            xticklabels=names,
            yticklabels=names,
            cbar=axis is axes[0][-1],
            cbar_kws={"label": label},
            square=True,
        )
        axis.tick_params("x", rotation=90 if upright else 0)
        axis.tick_params("y", rotation=0, left=axis is axes[0][0])
        axis.set(xlabel=columns, ylabel=rows if axis is axes[0][0] else "", title=title)
    return figure
