"""Pictures side by side: grids under common titles, strips of a data set's images, rows without titles."""

import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from sscnb.datasets import Dataset
from sscnb.evidence.figures.overlays import at_size
from sscnb.evidence.figures.style import COLUMN, LETTER, LINE, canvas
from sscnb.files import replacing

_WIDEST = 2.2  # inches, of a picture, where few stand side by side
_GAP = 0.03  # inches, between pictures


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]], columns: Sequence[str] = (), names: Sequence[str] = (), *, lines: int = 1
) -> Figure:
    """Show rows of pictures under common column titles; `names` stand at the rows' left.

    Args:
        rows: of H,W,3 uint8 pictures; a shorter row leaves its last places empty.
        lines: on which a row is laid, one below the other, each under titles of its own.
    """
    across = ceil(max(len(row) for row in rows) / lines)
    starts = range(0, lines * across, across)
    laid = [row[start : start + across] for row in rows for start in starts]
    beside = LINE * max((name.count("\n") + 1.5 for name in names), default=0)
    side = min(_WIDEST, (COLUMN - beside) / across - _GAP)
    titles = [_fitted(columns[start : start + across], side) for start in starts] * (len(rows) if lines > 1 else 1)
    shapes = [max((picture.shape[0] / picture.shape[1] for picture in row), default=0.01) for row in laid]
    above = sum(LINE * (1 + max(title.count("\n") for title in line)) + 0.06 for line in titles if line)
    height = sum(side * shape + _GAP for shape in shapes) + above + _GAP
    layout = ConstrainedLayoutEngine(w_pad=_GAP / 2, h_pad=_GAP / 2, wspace=0, hspace=0, compress=True)
    figure, axes = canvas(len(laid), across, height, heights=shapes, layout=layout)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for line, row in zip(axes, laid, strict=True):
        for axis, picture in zip(line, row, strict=False):
            axis.imshow(picture)
    for line, of_line in zip(axes, titles, strict=False):
        for axis, title in zip(line, of_line, strict=False):
            axis.set_title(title, pad=3)
    for line, name in zip(axes[::lines], names, strict=False):
        line[0].set_ylabel(name)
    return figure


def _fitted(titles: Sequence[str], side: float) -> list[str]:
    """Break titles into lines no wider than a picture."""
    letters = max(6, int(side / LETTER))
    return [
        "\n".join(textwrap.fill(part, letters, break_long_words=False) for part in title.split("\n"))
        for title in titles
    ]


def strip(
    dataset: Dataset,
    ids: Iterable[str],
    views: Mapping[str, Callable[[str, np.ndarray], np.ndarray]],
    names: Sequence[str] = (),
    *,
    lines: int = 1,
) -> Figure:
    """Show images in rows, one column a view; `names` and `lines` are as of `picture_grid`.

    Args:
        views: by column title, what makes a picture of an image's id and the image (`sscnb.evidence.views`).
    """
    rows = []
    for image_id in ids:
        image = dataset.image(image_id)
        rows.append([view(image_id, image) for view in views.values()])
    return picture_grid(rows, list(views), names, lines=lines)


def save_row(pictures: Sequence[np.ndarray], path: str | os.PathLike, *, height: int = 240) -> None:
    """Write pictures H,W,3 uint8 side by side at one height, without titles, as one PNG."""
    parts = [at_size(p, (height, max(1, round(p.shape[1] * height / p.shape[0])))) for p in pictures]
    gap = np.full((height, 4, 3), 255, np.uint8)
    row = np.hstack([piece for part in parts for piece in (part, gap)][:-1])
    with replacing(path) as temporary:
        Image.fromarray(row).save(temporary, "PNG", optimize=True)
