"""Class by class: a bar, a box or a cell for each, where its name stands."""

import numpy as np
import pandas as pd
import pytest

from sscnb.evidence import figures


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_class_bars():
    figure = figures.class_bars({"IoU": {"drs": [0.1, float("nan")], "ssc": [0.2, 0.3]}}, ["cow", "dog"])
    (axis,) = figure.axes
    assert texts(axis.get_yticklabels()) == ["cow", "dog"] and axis.get_xlabel() == "IoU"
    widths = [[bar.get_width() for bar in bars] for bars in axis.containers]
    assert widths[1] == [0.2, 0.3] and widths[0][0] == 0.1 and np.isnan(widths[0][1])
    assert texts(figure.legends[0].texts) == ["drs", "ssc"]
    low, high = axis.get_ylim()
    assert low > high  # the first class is on top
    # The two bars of a class lie side by side, around its name.
    (first, _), (second, _) = axis.containers
    assert first.get_y() + first.get_height() == pytest.approx(0) and second.get_y() == pytest.approx(0)


def test_panels_of_bars_share_the_classes():
    figure = figures.class_bars({"IoU": {"drs": [1, 2]}, "boundary IoU": {"drs": [3, 4]}}, ["cow", "dog"])
    assert [axis.get_xlabel() for axis in figure.axes] == ["IoU", "boundary IoU"]
    assert [bar.get_width() for bar in figure.axes[1].containers[0]] == [3, 4]
    assert all(np.subtract(*axis.get_ylim()) > 0 for axis in figure.axes) and not figure.legends


def test_counts_of_images_have_a_bar_a_split():
    counts = pd.DataFrame({"train": [4, 2], "val": [1, 0]}, index=["cow", "dog"])
    figure = figures.image_counts(counts)
    (axis,) = figure.axes
    assert texts(axis.get_yticklabels()) == ["cow", "dog"] and texts(figure.legends[0].texts) == ["train", "val"]
    assert [[bar.get_width() for bar in bars] for bars in axis.containers] == [[4, 2], [1, 0]]


def test_boxes_lie_around_the_median_of_what_is_there():
    values = pd.DataFrame({"cow": [1.0, 2.0, 3.0, np.nan], "dog": [np.nan, 8.0, np.nan, np.nan]})
    (axis,) = figures.class_boxes(values, "% of the image").axes
    assert axis.get_xlabel() == "% of the image" and texts(axis.get_yticklabels()) == ["cow", "dog"]
    medians = [line.get_xdata() for line in axis.lines if len(line.get_xdata()) == 2 and np.ptp(line.get_ydata()) > 0.5]
    assert [2, 2] in [list(x) for x in medians] and [8, 8] in [list(x) for x in medians]


def test_a_map_has_a_cell_a_pair_of_classes_and_numbers_in_them():
    shares = np.array([[75, 25], [0, 100]])
    figure = figures.share_maps({"": shares}, ["cow", "dog"], rows="truth", columns="seed", label="%")
    axis, bar = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), bar.get_ylabel()) == ("seed", "truth", "%")
    assert texts(axis.texts) == ["75", "25", "0", "100"]
    assert texts(axis.get_xticklabels()) == texts(axis.get_yticklabels()) == ["cow", "dog"]
    assert np.array_equal(axis.collections[0].get_array(), shares)


def test_maps_side_by_side_have_one_bar_of_colours():
    maps = {"from seeds": np.eye(2), "from true masks": np.zeros((2, 2))}
    figure = figures.share_maps(maps, ["cow", "dog"], rows="truth", columns="prediction", label="%")
    assert len(figure.axes) == 3
    assert [axis.get_title() for axis in figure.axes[:2]] == list(maps)
    assert [axis.get_ylabel() for axis in figure.axes] == ["truth", "", "%"]
    limits = [axis.collections[0].get_clim() for axis in figure.axes[:2]]
    assert limits == [(0, 100)] * 2  # colours can be compared


def test_many_classes_leave_no_room_for_numbers():
    names = [str(n) for n in range(20)]
    maps = {"x": np.eye(20), "y": np.eye(20)}
    assert not figures.share_maps(maps, names, rows="a", columns="b", label="%").axes[0].texts
    assert figures.share_maps({"": np.eye(9)}, names[:9], rows="a", columns="b", label="%").axes[0].texts
