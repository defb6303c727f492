"""One look for every figure: the same colour map for activation, the same palette for classes, the same type.

Drawing functions take arrays and rows and return the picture or the figure, which is left open for a notebook to show.
"""

from sscnb.evidence.figures.classes import class_bars, class_boxes, image_counts, share_maps
from sscnb.evidence.figures.curves import (
    gap_curves,
    loss_curves,
    premise_curves,
    size_curves,
    sweep_curves,
    threshold_curves,
)
from sscnb.evidence.figures.overlays import (
    at_size,
    colour_mask,
    mark_cell,
    overlay_activation,
    overlay_boundaries,
    overlay_mask,
    truth,
)
from sscnb.evidence.figures.pictures import picture_grid, save_row, strip
from sscnb.evidence.figures.style import ACTIVATION, COLOURS, COLUMN, TYPE, canvas, save, use_style

__all__ = [
    "ACTIVATION",
    "COLOURS",
    "COLUMN",
    "TYPE",
    "at_size",
    "canvas",
    "class_bars",
    "class_boxes",
    "colour_mask",
    "image_counts",
    "loss_curves",
    "mark_cell",
    "overlay_activation",
    "overlay_boundaries",
    "overlay_mask",
    "picture_grid",
    "premise_curves",
    "size_curves",
    "save",
    "save_row",
    "share_maps",
    "strip",
    "gap_curves",
    "sweep_curves",
    "threshold_curves",
    "truth",
    "use_style",
]
