"""The look of every figure: its width, its type, its colours, and how it is written."""

import os
import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sscnb.files import replacing

COLUMN = 8.2  # inches: the column of the rendered book, 790 px of 1/96 inch, less a little
TYPE = 9  # points, of all text in a figure, as the book shows it
LINE = TYPE * 1.3 / 72  # inches: the height of a line of text
LETTER = 0.6 * TYPE / 72  # inches: the width of a letter, on average
ACTIVATION = "inferno"  # perceptually even, readable in grey
COLOURS = sns.color_palette("colorblind").as_hex()  # of variants, in the order of the ladder


def use_style() -> None:
    """Set the look of all figures; notebooks call it once."""
    sns.set_theme(style="ticks", context="paper")
    plt.rcParams.update(
        {
            "font.size": TYPE,
            "axes.titlesize": TYPE,
            "axes.labelsize": TYPE,
            "xtick.labelsize": TYPE,
            "ytick.labelsize": TYPE,
            "legend.fontsize": TYPE,
            "legend.title_fontsize": TYPE,
            "figure.titlesize": TYPE,
            "figure.dpi": 160,  # sharp on high-density screens
            "savefig.bbox": "standard",  # nothing is cut off, so that a figure stays as wide as it was drawn
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.facecolor": "white",  # figures stay readable in the dark theme
            "image.interpolation": "nearest",
        }
    )
    if "matplotlib_inline" in sys.modules:  # a notebook's own way of showing figures
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("png", bbox_inches=None)


def canvas(
    rows: int,
    columns: int,
    height: float,
    *,
    heights: Sequence[float] | None = None,
    layout: str | ConstrainedLayoutEngine = "constrained",
    sharey: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Return a figure as wide as the book's column, and its axes rows,columns.

    Args:
        height: of the figure in inches.
        heights: of the rows, relative to each other; absent: all alike.
        layout: "compressed" moves axes that keep their aspect, such as pictures, together in the middle.
        sharey: give all axes one scale, named at the left alone.
    """
    return plt.subplots(
        rows,
        columns,
        figsize=(COLUMN, height),
        squeeze=False,
        layout=layout,
        height_ratios=heights,
        sharey=sharey,
    )


def legend_below(figure: Figure) -> None:
    """Name what is drawn in the first axes below all of them, and make the figure higher by as much."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    widths = [0.5 + LETTER * len(name) for name in names]
    across = len(names) if sum(widths) < COLUMN else max(1, int(COLUMN / max(widths)))
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LINE * 1.1 * -(-len(names) // across))
    figure.legend(handles, names, loc="outside lower center", ncols=across, frameon=False)


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=160, bbox_inches=None)
