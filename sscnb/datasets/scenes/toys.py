"""The toys of the embedded scenes: four families of bodies, a part for each class, and clutter that is no class.

A body is drawn by its family's function and takes its shape, coat and pattern from there, so that the two classes of a
family, and the sibling without a part, differ in nothing else. `anchor` in each is where the family's parts are fixed.
"""

import math
from collections.abc import Callable

import numpy as np

from sscnb.datasets.scenes.drawing import (
    DETAIL,
    INK,
    PART,
    Colour,
    Pattern,
    Pen,
    Sprite,
    bands,
    dots,
    patches,
    plain,
    scallops,
    stripes,
    tint,
)

IRON, BRASS, BONE, GLASS, WOOD = (62, 62, 70), (214, 168, 62), (236, 220, 180), (176, 214, 228), (168, 122, 74)
PAINT = [(190, 56, 50), (50, 94, 160), (58, 128, 86), (222, 176, 66), (222, 210, 184), (66, 140, 150), (126, 84, 140)]
COAT = [(150, 102, 62), (108, 78, 56), (190, 150, 98), (136, 130, 122), (214, 198, 168), (168, 88, 52)]
FEATHER = [(58, 60, 72), (222, 218, 206), (162, 86, 50), (52, 114, 118), (96, 128, 66), (110, 126, 152)]


def vehicle(pen: Pen, rng: np.random.Generator, paint: Colour, second: Colour) -> tuple[float, float]:
    """Engine hood, cab and three wheels; the anchor is on the hood, before the cab."""
    hood, cab = rng.uniform(0.40, 0.47), rng.uniform(0.64, 0.72)
    back = rng.uniform(-0.16, -0.08)
    pen.box(-0.48, 0.14, 0.48, 0.21, IRON, DETAIL)
    pen.blob([(-0.44, 0.2), (0.42, 0.2), (0.46, (0.2 + hood) / 2), (0.42, hood), (-0.44, hood)], paint)
    pen.box(-0.45, 0.2, back, cab, paint)
    pen.box(-0.49, cab, back + 0.04, cab + 0.055, second, DETAIL)
    pen.box(-0.385, hood + 0.03, back - 0.065, cab - 0.04, GLASS, DETAIL)
    pen.box(-0.45, 0.235, 0.44, 0.27, second, DETAIL, outline=0)
    pen.ellipse(0.455, 0.37, 0.035, 0.045, (250, 230, 150), DETAIL)
    for x in (-0.31, 0.02, 0.31):
        pen.ellipse(x, 0.115, 0.115, 0.115, INK, DETAIL)
        pen.ellipse(x, 0.115, 0.066, 0.066, second, DETAIL)
        pen.ellipse(x, 0.115, 0.02, 0.02, IRON, DETAIL)
    return 0.24, hood


def funnel(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The train's: a black flared chimney with a brass rim and a red band."""
    pen.polygon([(x - 0.055, y - 0.01), (x + 0.055, y - 0.01), (x + 0.06, y + 0.15), (x - 0.06, y + 0.15)], IRON, PART)
    pen.box(x - 0.058, y + 0.05, x + 0.058, y + 0.085, (206, 62, 46), PART, outline=0)
    pen.polygon([(x - 0.06, y + 0.14), (x + 0.06, y + 0.14), (x + 0.12, y + 0.27), (x - 0.12, y + 0.27)], IRON, PART)
    pen.box(x - 0.13, y + 0.25, x + 0.13, y + 0.295, BRASS, PART)


def ladder(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The fire engine's: a pale ladder on a turntable, raised over the hood."""
    rise = math.radians(rng.uniform(22, 38))
    along, across = np.array([math.cos(rise), math.sin(rise)]), np.array([-math.sin(rise), math.cos(rise)])
    root, pale = np.array([x - 0.14, y + 0.045]), (228, 230, 228)
    pen.box(x - 0.2, y - 0.01, x - 0.06, y + 0.05, IRON, PART)
    for step in np.linspace(0.04, 0.36, 6):
        pen.stroke([root + step * along, root + step * along + 0.105 * across], 0.022, pale, PART)
    for side in (0.0, 0.105):
        pen.stroke([root + side * across, root + 0.4 * along + side * across], 0.026, pale, PART)


def beast(pen: Pen, rng: np.random.Generator, coat: Colour, second: Colour) -> tuple[float, float]:
    """A four-legged animal; the anchor is the crown of its head."""
    belly, leg = rng.uniform(0.14, 0.19), rng.uniform(-0.03, 0.04)
    far = tuple(int(0.72 * c) for c in coat)
    for x, ink in ((-0.2, far), (0.18, far), (-0.31, coat), (0.09, coat)):
        pen.stroke([(x, 0.4), (x + leg, 0.2), (x, 0.04)], 0.075, ink)
        pen.stroke([(x, 0.045), (x + 0.015, 0.02)], 0.075, INK, DETAIL)
    pen.stroke([(-0.38, 0.52), (-0.45, 0.44)], 0.06, second, DETAIL)
    pen.blob([(-0.4, 0.46), (-0.34, 0.56), (-0.1, 0.565), (0.14, 0.56), (0.22, 0.46), (0.12, 0.46 - belly),
              (-0.1, 0.44 - belly), (-0.33, 0.48 - belly)], coat)
    pen.blob([(0.05, 0.5), (0.12, 0.6), (0.22, 0.74), (0.34, 0.78), (0.36, 0.68), (0.26, 0.5), (0.2, 0.4)], coat)
    pen.blob([(0.22, 0.72), (0.27, 0.79), (0.36, 0.78), (0.47, 0.7), (0.48, 0.645), (0.42, 0.63), (0.3, 0.66)], coat)
    pen.ellipse(0.465, 0.665, 0.03, 0.035, INK, DETAIL, outline=0)
    pen.ellipse(0.35, 0.735, 0.017, 0.02, INK, DETAIL, outline=0)
    pen.blob([(0.23, 0.755), (0.17, 0.8), (0.13, 0.77), (0.18, 0.735)], far)
    return 0.28, 0.775


def antlers(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The stag's: two upright beams with tines, of bone."""
    for lean, shade in ((-0.1, 0.82), (0.05, 1.0)):
        ink = tuple(int(shade * c) for c in BONE)
        base = np.array([x + 0.3 * lean, y])
        tip = base + (lean + 0.02, 0.22)
        bend = base + (lean * 0.9 - 0.02, 0.11)
        pen.stroke([base, bend, tip], 0.034, ink, PART)
        for start, way in ((base * 0.45 + bend * 0.55, (0.085, 0.055)), (bend, (0.075, 0.075)), (bend, (-0.055, 0.08))):
            pen.stroke([start, start + way], 0.026, ink, PART)


def horns(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The ram's: a ridged horn of bone, curled back and round."""
    turn = np.linspace(0.25 * math.pi, 2.05 * math.pi, 20)
    reach = np.linspace(0.125, 0.05, 20)
    curl = np.stack([x - 0.055 + reach * np.cos(turn), y + 0.035 + reach * np.sin(turn)], 1)
    for k in reversed(range(19)):  # from the thin tip to the thick root, which lies on top
        pen.stroke(curl[k : k + 2], 0.088 - 0.0026 * k, BONE, PART)
    for k in range(1, 19, 2):
        out = 0.034 * np.array([math.cos(turn[k]), math.sin(turn[k])])
        pen.stroke([curl[k] - out, curl[k] + out], 0.009, (150, 124, 84), PART, outline=0)


def bird(pen: Pen, rng: np.random.Generator, feather: Colour, second: Colour) -> tuple[float, float]:
    """A bird in profile with a small dark beak; the anchor is the middle of its head."""
    tail = rng.uniform(0.52, 0.72)
    plump = rng.uniform(-0.02, 0.04)
    for x in (-0.04, 0.07):
        pen.stroke([(x, 0.3), (x + 0.01, 0.02), (x + 0.09, 0.015)], 0.026, (196, 142, 60), DETAIL)
        pen.stroke([(x + 0.01, 0.02), (x - 0.05, 0.015)], 0.026, (196, 142, 60), DETAIL)
    for lift, ink in ((0.06, second), (-0.03, feather), (-0.12, second)):
        pen.blob([(-0.12, 0.36), (-0.28, tail + lift - 0.08), (-0.46, tail + lift), (-0.44, tail + lift - 0.11),
                  (-0.3, 0.3)], ink)
    pen.blob([(-0.32, 0.4), (-0.2, 0.25 - plump), (0.04, 0.2 - plump), (0.23, 0.32), (0.29, 0.54), (0.27, 0.72),
              (0.16, 0.78), (0.07, 0.68), (0.02, 0.55), (-0.14, 0.5)], feather)
    pen.ellipse(0.18, 0.73, 0.115, 0.11, feather)
    pen.blob([(0.06, 0.46), (-0.06, 0.47), (-0.27, 0.39), (-0.16, 0.32), (0.0, 0.3), (0.09, 0.37)], second)
    pen.polygon([(0.275, 0.755), (0.365, 0.705), (0.275, 0.69)], IRON, DETAIL)
    pen.ellipse(0.21, 0.755, 0.034, 0.034, (240, 236, 220), DETAIL, outline=0)
    pen.ellipse(0.217, 0.755, 0.02, 0.02, INK, DETAIL, outline=0)
    return 0.18, 0.73


def comb(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The rooster's: a red comb of four teeth, and a wattle under the beak."""
    red = (206, 44, 46)
    teeth = [(-0.13, 0.05), (-0.15, 0.18), (-0.08, 0.14), (-0.05, 0.235), (0.0, 0.16), (0.05, 0.23), (0.075, 0.14),
             (0.13, 0.17), (0.1, 0.06), (0.0, 0.09)]
    wattle = [(0.09, -0.05), (0.135, -0.1), (0.12, -0.19), (0.07, -0.17), (0.06, -0.09)]
    pen.polygon(np.add(teeth, (x, y)), red, PART)
    pen.blob(np.add(wattle, (x, y)), red, PART)


def bill(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The toucan's: a large orange bill with a black tip, drawn over the small beak."""
    horn = [(0.075, 0.075), (0.2, 0.095), (0.32, 0.04), (0.37, -0.07), (0.3, -0.065), (0.19, -0.06), (0.08, -0.055)]
    tip = [(0.3, 0.055), (0.355, 0.0), (0.375, -0.08), (0.3, -0.06), (0.28, 0.0)]
    pen.blob(np.add(horn, (x, y)), (240, 152, 40), PART)
    pen.blob(np.add(tip, (x, y)), INK, PART)
    pen.stroke([(x + 0.09, y + 0.005), (x + 0.28, y + 0.0)], 0.014, (180, 84, 30), PART, outline=0)


def vessel(pen: Pen, rng: np.random.Generator, glaze: Colour, second: Colour) -> tuple[float, float]:
    """A round lidded pot with an ear handle at the back; the anchor is the front of its belly."""
    wide, tall = rng.uniform(0.29, 0.34), rng.uniform(0.56, 0.66)
    ear = [(0.06, 0.2), (-0.11, 0.22), (-0.16, 0.34), (-0.11, 0.46), (0.08, 0.48)]
    pen.stroke(np.add(ear, (-wide, 0)), 0.055, second, DETAIL)
    pen.box(-0.19, 0.0, 0.19, 0.06, second, DETAIL)
    pen.blob([(-0.2, 0.05), (0.2, 0.05), (wide, 0.2), (wide + 0.01, 0.34), (0.19, tall), (-0.19, tall),
              (-wide - 0.01, 0.34), (-wide, 0.2)], glaze)
    pen.blob([(-0.2, tall - 0.02), (0.2, tall - 0.02), (0.14, tall + 0.07), (-0.14, tall + 0.07)], second, DETAIL)
    pen.ellipse(0, tall + 0.11, 0.045, 0.045, second, DETAIL)
    pen.blob([(-0.2, 0.42), (-0.14, 0.5), (-0.12, 0.42), (-0.17, 0.33)], (250, 250, 246), DETAIL, outline=0)
    return wide, 0.22


def spout(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The teapot's: a curved white spout with a gold lip."""
    tube = [(-0.04, -0.06), (0.08, -0.03), (0.15, 0.1), (0.18, 0.22), (0.26, 0.29), (0.15, 0.33), (0.08, 0.22),
            (0.04, 0.13), (-0.04, 0.14)]
    pen.blob(np.add(tube, (x, y)), (232, 228, 216), PART)
    pen.stroke([(x + 0.145, y + 0.335), (x + 0.27, y + 0.295)], 0.036, BRASS, PART)


def rose(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The watering can's: a thin straight tube with a holed brass rose."""
    pen.stroke([(x - 0.02, y), (x + 0.17, y + 0.22)], 0.055, (168, 172, 172), PART)
    pen.polygon([(x + 0.13, y + 0.22), (x + 0.19, y + 0.17), (x + 0.31, y + 0.24), (x + 0.16, y + 0.37)], BRASS, PART)
    pen.ellipse(x + 0.24, y + 0.31, 0.04, 0.105, BRASS, PART, turn=48)
    for k in (-0.06, 0.0, 0.06):
        pen.ellipse(x + 0.24 + 0.75 * k, y + 0.31 - 0.67 * k, 0.016, 0.016, INK, PART, outline=0)


Body = Callable[[Pen, np.random.Generator, Colour, Colour], tuple[float, float]]
Part = Callable[[Pen, np.random.Generator, float, float], None]
FAMILIES: dict[str, tuple[Body, list[tuple[int, int, int]], list[Pattern]]] = {
    "vehicle": (vehicle, PAINT, [plain, stripes, dots]),
    "beast": (beast, COAT, [plain, patches, bands]),
    "bird": (bird, FEATHER, [plain, scallops, bands]),
    "vessel": (vessel, PAINT, [plain, dots, stripes]),
}
PARTS: dict[str, tuple[str, Part]] = {
    "train": ("vehicle", funnel), "firetruck": ("vehicle", ladder), "stag": ("beast", antlers), "ram": ("beast", horns),
    "rooster": ("bird", comb), "toucan": ("bird", bill), "teapot": ("vessel", spout), "wateringcan": ("vessel", rose),
}


def draw_toy(rng: np.random.Generator, family: str, name: str | None, pixels: float, tilt: float, mirror: bool,
             light: tuple[float, float]) -> Sprite:
    """Draw one toy of a family: with the part of class `name`, or with none as the sibling that is no class."""
    body, palette, patterns = FAMILIES[family]
    first, second = (tint(rng, palette[k]) for k in rng.choice(len(palette), 2, replace=False))
    pattern = patterns[rng.integers(len(patterns))]  # before the part, so that a coat never depends on it
    pen = Pen(pixels, tilt, mirror)
    x, y = body(pen, rng, first, second)
    if name is not None:
        PARTS[name][1](pen, rng, x, y)
    return pen.finish(rng, light, second, pattern)


CLUTTER = ("ball", "crate", "toadstool", "stone", "bush")


def draw_clutter(rng: np.random.Generator, kind: str, pixels: float, tilt: float, light: tuple[float, float]) -> Sprite:
    """Draw a thing that is no class: one of CLUTTER."""
    pen = Pen(pixels, tilt)
    second: Colour
    first, second = (tint(rng, PAINT[k]) for k in rng.choice(len(PAINT), 2, replace=False))
    pattern = plain
    if kind == "ball":
        pen.ellipse(0, 0.45, 0.45, 0.45, first)
        pen.blob([(-0.1, 0.86), (0.07, 0.87), (0.18, 0.45), (0.07, 0.03), (-0.1, 0.04), (-0.02, 0.45)], second)
    elif kind == "crate":
        wood = tint(rng, WOOD)
        pen.box(-0.45, 0, 0.45, 0.8, wood)
        for y in (0.0, 0.32, 0.64):
            pen.box(-0.45, y, 0.45, y + 0.16, tint(rng, WOOD, 8))
        pen.stroke([(-0.4, 0.06), (0.4, 0.74)], 0.1, wood)
    elif kind == "toadstool":
        stem = [(-0.12, 0.02), (0.12, 0.02), (0.1, 0.3), (0.13, 0.5), (-0.13, 0.5), (-0.1, 0.3)]
        pen.blob(stem, (226, 214, 190), DETAIL)
        pen.blob([(-0.46, 0.45), (0.46, 0.45), (0.34, 0.75), (0, 0.92), (-0.34, 0.75)], first)
        pattern, second = dots, (240, 234, 220)
    elif kind == "stone":
        hump = [(-0.46, 0.02), (0.44, 0.02), (0.47, 0.24), (0.2, 0.46), (-0.14, 0.52), (-0.44, 0.26)]
        pen.blob(hump, tint(rng, (134, 130, 124)))
        pattern, second = patches, (112, 108, 104)
    else:
        leaf = tint(rng, (74, 112, 58))
        for x, y, r in [(-0.3, 0.2, 0.2), (0.3, 0.2, 0.2), (0.0, 0.24, 0.24), (-0.14, 0.42, 0.2), (0.17, 0.42, 0.18)]:
            bumps = [(x + r * math.cos(t) * k, y + r * math.sin(t) * k)
                     for t, k in zip(np.linspace(0, 2 * math.pi, 18, endpoint=False), [1, 0.82] * 9, strict=True)]
            pen.blob(bumps, tint(rng, leaf, 5), outline=0.006)
        pattern, second = scallops, tuple(int(0.7 * c) for c in leaf)
    return pen.finish(rng, light, second, pattern)
