"""Pictures side by side: each in its place, under its title, at one height."""

import numpy as np
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


def test_a_picture_has_the_width_that_was_asked_for_and_its_own_shape():
    figure = figures.picture_grid([[IMAGE, IMAGE]], side=2)
    assert figure.get_size_inches().tolist() == [4, 2 * 6 / 8 + 0.25]


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
