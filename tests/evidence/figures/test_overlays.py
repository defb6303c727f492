"""One picture: the right pixels in the right colours."""

import numpy as np

from sscnb.evidence import figures

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


def test_a_cell_is_marked_with_its_neighbours_also_at_the_border():
    for cell, expected in (((2, 3), np.s_[1:4, 2:5]), ((0, 7), np.s_[0:2, 6:8])):
        marked = figures.mark_cell(IMAGE, cell, colour=(1, 2, 3))
        at = np.zeros(IMAGE.shape[:2], bool)
        at[expected] = True
        assert (marked[at] == (1, 2, 3)).all() and np.array_equal(marked[~at], IMAGE[~at])


def test_image_at_a_maps_size():
    assert figures.at_size(IMAGE, (3, 4)).shape == (3, 4, 3)
