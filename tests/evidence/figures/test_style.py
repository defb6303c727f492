"""What all figures have in common: the style, how they are written, and that nothing else stays open."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from sscnb.evidence import figures

IMAGE = np.zeros((6, 8, 3), np.uint8)
EPOCHS = [{"epoch": 0, "loss": 1.0, "classification": 1.0, "seconds": 1.0}]
CURVE = {"threshold": [0.0, 0.5], "mIoU": [0.1, 0.5], "over": [0.9, 0.4], "under": [0, 0.2]}
MAP_WORDS = {"rows": "a", "columns": "b", "label": "%"}
DRAWN = {
    "picture_grid": lambda: figures.picture_grid([[IMAGE]]),
    "loss_curves": lambda: figures.loss_curves({"drs": EPOCHS, "ssc": EPOCHS}),
    "threshold_curves": lambda: figures.threshold_curves({"drs": CURVE, "ssc": CURVE}, 0.2),
    "sweep_curves": lambda: figures.sweep_curves(pd.DataFrame({"parameter": ["r"], "value": [2], "kept": [1]}), "kept"),
    "class_bars": lambda: figures.class_bars({"IoU": {"drs": [1, 2]}, "F": {"drs": [1, 2]}}, ["cow", "dog"]),
    "image_counts": lambda: figures.image_counts(pd.DataFrame({"train": [1]}, index=["cow"])),
    "class_boxes": lambda: figures.class_boxes(pd.DataFrame({"cow": [1.0, 2.0]}), "%"),
    "share_maps": lambda: figures.share_maps({"x": np.eye(2), "y": np.eye(2)}, ["cow", "dog"], **MAP_WORDS),
}


@pytest.mark.parametrize("name", DRAWN)
def test_what_draws_returns_its_figure_and_leaves_no_other_open(name):
    figure = DRAWN[name]()
    assert isinstance(figure, Figure) and plt.get_fignums() == [figure.number]
    figure.canvas.draw()


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_as_wide_as_the_column_with_text_of_one_size_inside_them(name, tmp_path):
    with plt.rc_context():
        figures.use_style()
        figure = DRAWN[name]()
        assert figure.get_size_inches()[0] == figures.COLUMN
        figures.save(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as image:
            assert image.width == round(160 * figures.COLUMN)
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert {text.get_fontsize() for text in texts} <= {figures.TYPE}
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert -0.01 <= drawn.x0 and drawn.x1 <= width + 0.01 and -0.01 <= drawn.y0 and drawn.y1 <= height + 0.01


def test_a_figure_is_written_whole_and_opens_nothing(tmp_path):
    figure = figures.picture_grid([[IMAGE]])
    figures.save(figure, tmp_path / "new/figure.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "new/figure.png") as image:
        assert image.format == "PNG"
    assert plt.get_fignums() == [figure.number]


def test_style_can_be_set_and_figures_drawn():
    with plt.rc_context():
        figures.use_style()
        assert plt.rcParams["figure.dpi"] == 160 and not plt.rcParams["axes.spines.top"]
        figures.picture_grid([[IMAGE]]).canvas.draw()
