"""The look of every figure: colours, type, and how a figure is written."""

import os

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from sscnb.files import replacing

ACTIVATION = "inferno"  # perceptually even, readable in grey
COLOURS = sns.color_palette("colorblind").as_hex()  # of variants, in the order of the ladder


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
