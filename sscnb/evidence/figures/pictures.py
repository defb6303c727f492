"""Pictures side by side: grids under common titles, strips of a data set's images, rows without titles."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from sscnb.datasets import Dataset
from sscnb.evidence.figures.overlays import at_size
from sscnb.files import replacing


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    *,
    side: float = 1.55,
) -> Figure:
    """Show rows of pictures under common column titles; `names` stand at the rows' left.

    Args:
        rows: of H,W,3 uint8 pictures; a shorter row leaves its last places empty.
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


def strip(
    dataset: Dataset,
    ids: Iterable[str],
    views: Mapping[str, Callable[[str, np.ndarray], np.ndarray]],
    names: Sequence[str] = (),
    *,
    side: float = 1.55,
) -> Figure:
    """Show images in rows, one column a view; `names` and `side` are as of `picture_grid`.

    Args:
        views: by column title, what makes a picture of an image's id and the image (`sscnb.evidence.views`).
    """
    rows = []
    for image_id in ids:
        image = dataset.image(image_id)
        rows.append([view(image_id, image) for view in views.values()])
    return picture_grid(rows, list(views), names, side=side)


def save_row(pictures: Sequence[np.ndarray], path: str | os.PathLike, *, height: int = 240) -> None:
    """Write pictures H,W,3 uint8 side by side at one height, without titles, as one PNG."""
    parts = [at_size(p, (height, max(1, round(p.shape[1] * height / p.shape[0])))) for p in pictures]
    gap = np.full((height, 4, 3), 255, np.uint8)
    row = np.hstack([piece for part in parts for piece in (part, gap)][:-1])
    with replacing(path) as temporary:
        Image.fromarray(row).save(temporary, "PNG", optimize=True)
