"""Pictures side by side: each in its place, under its title, at one height."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from sscnb.datasets import open_dataset
from sscnb.evidence import figures

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_grid_of_pictures():
    figure = figures.picture_grid([[IMAGE, IMAGE], [IMAGE]], columns=["image", "CAM"], names=["a", "b"])
    shown = [len(axis.images) for axis in figure.axes]
    assert shown == [1, 1, 1, 0]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["image", "CAM"]
    assert [figure.axes[k].get_ylabel() for k in (0, 2)] == ["a", "b"]


def boxes(figure) -> list[tuple[float, float]]:
    """Width and height of each picture in inches."""
    figure.canvas.draw()
    size = figure.get_size_inches()
    return [tuple(axis.get_position().size * size) for axis in figure.axes if axis.images]


@pytest.mark.parametrize("across", [4, 8])
def test_pictures_fill_the_column_in_their_own_shape(across):
    for width, height in boxes(figures.picture_grid([[IMAGE] * across] * 2, columns=["a"] * across)):
        assert height == pytest.approx(width * 6 / 8) and 0.93 < across * width / figures.COLUMN <= 1


def test_few_pictures_stay_small():
    ((width, _),) = boxes(figures.picture_grid([[IMAGE]]))
    assert 1.5 < width < 2.5


def test_a_row_can_be_laid_on_two_lines_each_under_its_titles():
    red, blue = np.full_like(IMAGE, (255, 0, 0)), np.full_like(IMAGE, (0, 0, 255))
    figure = figures.picture_grid([[red] * 5, [blue] * 5], "abcde", ["first", "second"], lines=2)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["a", "b", "c", "d", "e", ""] * 2
    shown = [axis.images[0].get_array() if axis.images else None for axis in figure.axes]
    assert [picture is not None for picture in shown] == [True] * 5 + [False] + [True] * 5 + [False]
    assert all((p == red).all() for p in shown[:5]) and all((p == blue).all() for p in shown[6:11])
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["first", "", "second", ""]


def test_long_titles_are_broken_and_do_not_meet():
    long = "perceptual loss, late features, mean of regions"
    with plt.rc_context():
        figures.use_style()
        figure = figures.picture_grid([[IMAGE] * 5], [long] * 5)
        figure.canvas.draw()
    places = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(a.x1 < b.x0 for a, b in zip(places, places[1:], strict=False))
    assert all(place.y1 <= figure.bbox.y1 for place in places)


def test_no_word_of_a_title_is_broken():
    titles = ["+ DRS\n+ CDR\n+ ASM w/o RAS", "segmentation"]
    figure = figures.picture_grid([[IMAGE] * 11], titles)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["+ DRS\n+ CDR\n+ ASM w/o\nRAS", "segmentation"]


def test_a_strip_shows_each_view_of_each_image(photographs):
    dataset, asked = open_dataset(photographs), []

    def view(image_id, image):
        asked.append(image_id)
        return 255 - image

    figure = figures.strip(dataset, ["002", "000"], {"image": lambda _, image: image, "negative": view}, ["x", "y"])
    assert asked == ["002", "000"]
    assert [axis.get_title() for axis in figure.axes] == ["image", "negative", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["x", "", "y", ""]
    for k, image_id in enumerate(asked):
        image, negative = (figure.axes[2 * k + column].images[0].get_array() for column in (0, 1))
        assert np.array_equal(image, dataset.image(image_id)) and np.array_equal(negative, 255 - image)


def test_a_row_of_pictures_has_one_height(tmp_path):
    red, blue = np.full((10, 20, 3), (255, 0, 0), np.uint8), np.full((40, 20, 3), (0, 0, 255), np.uint8)
    figures.save_row([red, blue], tmp_path / "row.png", height=20)
    with Image.open(tmp_path / "row.png") as image:
        row = np.asarray(image)
    assert row.shape == (20, 40 + 4 + 10, 3)
    assert (row[:, :40] == (255, 0, 0)).all() and (row[:, 40:44] == 255).all() and (row[:, 44:] == (0, 0, 255)).all()
