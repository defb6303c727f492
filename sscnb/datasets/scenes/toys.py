"""The toys of the embedded scenes: families of bodies, a part for each class, and clutter that is no class.

A body is drawn by its family's function and takes its shape, coat and pattern from there, so that the two classes of a
family, and the sibling without a part, differ in nothing else.
"""

import math
from collections.abc import Callable

import numpy as np

from sscnb.datasets.scenes import animals, things
from sscnb.datasets.scenes.drawing import (
    DETAIL,
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

WOOD = (168, 122, 74)
PAINT = [(190, 56, 50), (50, 94, 160), (58, 128, 86), (222, 176, 66), (222, 210, 184), (66, 140, 150), (126, 84, 140)]
COAT = [(150, 102, 62), (108, 78, 56), (190, 150, 98), (136, 130, 122), (214, 198, 168), (168, 88, 52)]
FEATHER = [(58, 60, 72), (222, 218, 206), (162, 86, 50), (52, 114, 118), (96, 128, 66), (110, 126, 152)]
SKIN = [(96, 138, 72), (150, 148, 84), (82, 128, 128), (176, 122, 76), (120, 112, 136), (188, 186, 148)]

Body = Callable[[Pen, np.random.Generator, Colour, Colour], tuple[float, float]]
Part = Callable[[Pen, np.random.Generator, float, float], None]
FAMILIES: dict[str, tuple[Body, list[tuple[int, int, int]], list[Pattern]]] = {
    "vehicle": (things.vehicle, PAINT, [plain, stripes, dots]),
    "beast": (animals.beast, COAT, [plain, patches, bands]),
    "bird": (animals.bird, FEATHER, [plain, scallops, bands]),
    "vessel": (things.vessel, PAINT, [plain, dots, stripes]),
    "bug": (animals.bug, SKIN, [plain, dots, bands]),
    "house": (things.house, PAINT, [plain, bands, dots]),
    "reptile": (animals.reptile, SKIN, [plain, scallops, patches]),
    "boat": (things.boat, PAINT, [plain, bands, stripes]),
    "figure": (things.figure, PAINT, [plain, stripes, dots]),
    "cabinet": (things.cabinet, COAT, [plain, stripes, patches]),
}
PARTS: dict[str, tuple[str, Part]] = {
    "train": ("vehicle", things.funnel), "firetruck": ("vehicle", things.ladder),
    "stag": ("beast", animals.antlers), "ram": ("beast", animals.horns),
    "rooster": ("bird", animals.comb), "toucan": ("bird", animals.bill),
    "teapot": ("vessel", things.spout), "wateringcan": ("vessel", things.rose),
    "butterfly": ("bug", animals.wings), "scorpion": ("bug", animals.sting),
    "windmill": ("house", things.mill_sails), "chapel": ("house", things.belfry),
    "stegosaurus": ("reptile", animals.plates), "dragon": ("reptile", animals.sails_of_skin),
    "sailingboat": ("boat", things.sail), "paddleboat": ("boat", things.paddle_wheel),
    "wizard": ("figure", things.pointed_hat), "king": ("figure", things.crown),
    "gramophone": ("cabinet", things.horn), "clock": ("cabinet", things.dial),
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
