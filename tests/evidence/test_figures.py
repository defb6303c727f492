"""Figures: the right pixels in the right colours, the right lines in the right panels."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from sscnb.evidence import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_masks_have_vocs_colours():
    coloured = figures.colour_mask(np.array([[0, 1, 2, 15, 255]], np.uint8))
    assert coloured.dtype == np.uint8 and coloured.shape == (1, 5, 3)
    assert coloured[0].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [224, 224, 224]]


def test_mask_overlay_leaves_the_background():
    mask = np.zeros((6, 8), np.uint8)
    mask[0], mask[1] = 255, 1
    shown = figures.overlay_mask(IMAGE, mask, opacity=0.5)
    assert np.array_equal(shown[mask != 1], IMAGE[mask != 1])
    expected = (IMAGE[1] * 0.5 + np.array([64, 0, 0])).astype(np.uint8)
    assert np.array_equal(shown[1], expected)


def test_activation_overlay_is_brighter_where_activation_is_high():
    grey = np.full((2, 2, 3), 100, np.uint8)
    shown = figures.overlay_activation(grey, np.array([[0.0, 1.0], [0.5, 7.0]]))
    assert shown.dtype == np.uint8
    assert shown[0, 0].sum() < shown[1, 0].sum() < shown[0, 1].sum() and np.array_equal(shown[0, 1], shown[1, 1])


def test_boundaries_are_drawn_between_regions_alone():
    regions = np.zeros((6, 8), int)
    regions[:, 4:] = 1
    shown = figures.overlay_boundaries(IMAGE, regions)
    changed = (shown == [255, 220, 0]).all(axis=2)
    assert changed[:, 4].all() and changed.sum() == 6 and np.array_equal(shown[~changed], IMAGE[~changed])


def test_image_at_a_maps_size():
    assert figures.at_size(IMAGE, (3, 4)).shape == (3, 4, 3)


def test_grid_of_pictures():
    figure = figures.picture_grid([[IMAGE, IMAGE], [IMAGE]], columns=["image", "CAM"], names=["a", "b"])
    shown = [len(axis.images) for axis in figure.axes]
    assert shown == [1, 1, 1, 0]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["image", "CAM"]
    assert [figure.axes[k].get_ylabel() for k in (0, 2)] == ["a", "b"]


def test_loss_curves_have_a_panel_a_loss_and_a_line_a_variant():
    first = [{"epoch": e, "loss": 3.0, "classification": 1.0 - e / 4, "seconds": 1.0} for e in range(3)]
    second = [{**e, "reconstruction": 0.5} for e in first]
    figure = figures.loss_curves({"drs": first, "drs+cdr": second})
    titles = {axis.get_title(): axis for axis in figure.axes}
    assert set(titles) == {"classification loss", "reconstruction loss"}
    (line, _) = titles["classification loss"].lines
    assert line.get_xdata().tolist() == [1, 2, 3] and line.get_ydata().tolist() == [1, 0.75, 0.5]
    assert [line.get_label() for line in titles["reconstruction loss"].lines] == ["drs+cdr"]


def test_more_variants_than_colours_are_all_drawn():
    history = [{"epoch": 0, "loss": 1.0, "classification": 1.0, "seconds": 1.0}]
    figure = figures.loss_curves({f"variant {n}": history for n in range(16)})
    assert len(figure.axes[0].lines) == 16


def test_threshold_curves_mark_best_and_fixed():
    curve = {"threshold": [0.0, 0.2, 0.4], "mIoU": [0.1, 0.5, 0.3], "over": [0.9, 0.4, 0.1], "under": [0, 0.2, 0.6]}
    figure = figures.threshold_curves({"drs": curve}, fixed=0.2)
    assert [axis.get_title() for axis in figure.axes] == ["mIoU (%)", "over-activation (%)", "under-activation (%)"]
    drawn, best, fixed = figure.axes[0].lines
    assert drawn.get_ydata().tolist() == pytest.approx([10, 50, 30])
    assert best.get_xydata().tolist() == [[pytest.approx(0.2), pytest.approx(50)]]
    assert set(fixed.get_xdata()) == {0.2}


def test_class_bars():
    figure = figures.class_bars({"drs": [0.1, float("nan")], "ssc": [0.2, 0.3]}, ["cow", "dog"], "IoU")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cow", "dog"] and axis.get_xlabel() == "IoU"
    widths = [[bar.get_width() for bar in bars] for bars in axis.containers]
    assert widths[1] == [0.2, 0.3] and widths[0][0] == 0.1 and np.isnan(widths[0][1])
    assert figures.class_bars({"drs": [0.1]}, ["cow"], "IoU", axis=axis) is figure


def test_style_can_be_set_and_figures_drawn():
    with plt.rc_context():
        figures.use_style()
        figures.picture_grid([[IMAGE]]).canvas.draw()


def test_a_row_of_pictures_has_one_height(tmp_path):
    red, blue = np.full((10, 20, 3), (255, 0, 0), np.uint8), np.full((40, 20, 3), (0, 0, 255), np.uint8)
    figures.save_row([red, blue], tmp_path / "row.png", height=20)
    with Image.open(tmp_path / "row.png") as image:
        row = np.asarray(image)
    assert row.shape == (20, 40 + 4 + 10, 3)
    assert (row[:, :40] == (255, 0, 0)).all() and (row[:, 40:44] == 255).all() and (row[:, 44:] == (0, 0, 255)).all()
