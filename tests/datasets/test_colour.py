"""Changes of colour: values by hand, ranges and probabilities by counting."""

import colorsys

import cv2
import numpy as np
import pytest

from sscnb.datasets import colour
from sscnb.datasets.colour import change_colours, change_tone, shift_hsv

GREY_PIXEL = np.full((1, 1, 3), 100, np.uint8)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def only(monkeypatch, name):
    for probability in ("TOGETHER", "GREY", "BLUR"):
        monkeypatch.setattr(colour, probability, float(probability == name))


def test_tone_by_hand():
    pixels = np.array([[[0, 100, 250]]], np.uint8)
    assert change_tone(pixels, 1.2, -10.0).tolist() == [[[0, 110, 255]]]
    assert change_tone(pixels, 0.8, 51.0).tolist() == [[[51, 131, 251]]]


def test_hue_saturation_and_value_by_hand():
    red = np.array([[[200, 0, 0]]], np.uint8)
    assert shift_hsv(red, 60, 0, 0).tolist() == [[[0, 200, 0]]]  # a third of the circle of 180
    assert shift_hsv(red, -60, 0, 0).tolist() == [[[0, 0, 200]]]
    assert shift_hsv(red, 0, 0, 30).tolist() == [[[230, 0, 0]]]
    assert shift_hsv(red, 0, 30, 0).tolist() == red.tolist()  # already full
    pale = shift_hsv(red, 0, -51, 0)  # four fifths of the saturation
    assert pale.tolist() == [[[200, 40, 40]]]


def test_hsv_against_the_standard_library(image):
    changed = shift_hsv(image, 12, -20, 15)
    for y, x in ((0, 0), (7, 3), (39, 49), (20, 20)):
        h, s, v = colorsys.rgb_to_hsv(*(image[y, x] / 255))
        h, s, v = (h + 12 / 180) % 1, min(max(s - 20 / 255, 0), 1), min(max(v + 15 / 255, 0), 1)
        # OpenCV keeps hue in steps of two degrees.
        assert np.abs(np.array(colorsys.hsv_to_rgb(h, s, v)) * 255 - changed[y, x]).max() < 8


def test_ranges(monkeypatch, image):
    seen = []
    monkeypatch.setattr(colour, "change_tone", lambda x, contrast, brightness: seen.append((contrast, brightness)) or x)
    monkeypatch.setattr(colour, "shift_hsv", lambda x, *shifts: seen.append(shifts) or x)
    only(monkeypatch, "TOGETHER")
    rng = np.random.default_rng(0)
    for _ in range(500):
        change_colours(image, rng)
    tones, shifts = np.array(seen[::2]), np.array(seen[1::2])
    limits = [(0.8, 1.2), (-51, 51)]
    for values, (low, high) in zip(tones.T, limits, strict=True):
        assert low <= values.min() < low + 0.02 * (high - low) and high - 0.02 * (high - low) < values.max() <= high
    assert (np.abs(shifts).max(0) <= [20, 30, 20]).all() and (np.abs(shifts).max(0) > [19.5, 29.2, 19.5]).all()
    assert np.abs(np.corrcoef(np.hstack([tones, shifts]).T) - np.eye(5)).max() < 0.2  # each drawn for itself


def test_probabilities(monkeypatch):
    calls = dict.fromkeys(("tone", "hsv", "grey", "blur"), 0)
    together = []

    def count(name, result):
        calls[name] += 1
        return result

    monkeypatch.setattr(colour, "change_tone", lambda x, *a: count("tone", x))
    monkeypatch.setattr(
        colour, "shift_hsv", lambda x, *a: count("hsv", x) if together.append(calls["tone"]) is None else x
    )
    monkeypatch.setattr(cv2, "GaussianBlur", lambda x, *a: count("blur", x))
    monkeypatch.setattr(cv2, "cvtColor", lambda x, code: count("grey", x) if code == cv2.COLOR_RGB2GRAY else x)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        change_colours(GREY_PIXEL, rng)
    assert calls["tone"] == calls["hsv"] and together == list(range(1, calls["tone"] + 1))  # always both
    for name, probability in {"tone": 0.8, "grey": 0.2, "blur": 0.5}.items():
        assert abs(calls[name] / 2000 - probability) < 0.035, name


def test_grey(monkeypatch, image):
    only(monkeypatch, "GREY")
    found = change_colours(image, np.random.default_rng(0))
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - image @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_blur(monkeypatch, image):
    only(monkeypatch, "BLUR")
    peak = np.zeros((9, 9, 3), np.uint8)
    peak[4, 4] = 255
    widths = set()
    for seed in range(20):
        found = change_colours(peak, np.random.default_rng(seed))[..., 0] > 0
        widths.add(int(found.any(0).sum()))
        assert np.array_equal(found, found[::-1]) and np.array_equal(found, found.T)
    assert widths == {3, 5}


def test_an_image_depends_on_its_generator_alone(image):
    before = image.copy()
    one, two = (change_colours(image, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two) and one.dtype == np.uint8 and one.shape == image.shape
    assert len({change_colours(image, np.random.default_rng(seed)).tobytes() for seed in range(20)}) > 12
    assert np.array_equal(image, before)
