"""Things among the toys of the embedded scenes: a body for each family, and the part that tells its two classes apart.

A body returns its anchor, where the family's parts are fixed, in the object's own coordinates.
"""

import math

import numpy as np

from sscnb.datasets.scenes.drawing import DETAIL, INK, IRON, PART, Colour, Pen

BRASS, GLASS = (214, 168, 62), (176, 214, 228)


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


def house(pen: Pen, rng: np.random.Generator, wall: Colour, second: Colour) -> tuple[float, float]:
    """A narrow house with a pointed roof, a door and a window; the anchor is the ridge of the roof."""
    wide, eaves = rng.uniform(0.31, 0.37), rng.uniform(0.42, 0.5)
    pen.polygon([(-wide, 0), (wide, 0), (0.86 * wide, eaves), (-0.86 * wide, eaves)], wall)
    roof = wide + 0.05
    pen.polygon([(-roof, eaves - 0.02), (roof, eaves - 0.02), (0.05, eaves + 0.24), (-0.05, eaves + 0.24)], second)
    pen.box(-0.07, 0.0, 0.07, 0.19, IRON, DETAIL)
    pen.ellipse(0.045, 0.09, 0.013, 0.013, BRASS, DETAIL, outline=0)
    for x in (-0.14, 0.14):
        pen.box(x - 0.045, 0.25, x + 0.045, 0.35, GLASS, DETAIL)
        pen.stroke([(x, 0.25), (x, 0.35)], 0.014, IRON, DETAIL, outline=0)
    return 0.0, eaves + 0.22


def mill_sails(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The windmill's: four latticed sails around an axle on the roof."""
    start, axle = rng.uniform(20, 70), np.array([x, y - 0.06])
    for quarter in range(4):
        turn = math.radians(start + 90 * quarter)
        along, across = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
        corners = [(0.06, 0.0), (0.25, 0.0), (0.25, 0.075), (0.06, 0.06)]
        pen.polygon([axle + u * along + v * across for u, v in corners], (238, 232, 214), PART)
        for u in (0.12, 0.19):
            pen.stroke([axle + u * along, axle + u * along + 0.065 * across], 0.01, (130, 96, 66), PART, outline=0)
        pen.stroke([axle, axle + 0.26 * along], 0.024, (130, 96, 66), PART)
    pen.ellipse(axle[0], axle[1], 0.035, 0.035, INK, PART)


def belfry(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The chapel's: a white turret with a bell, a green spire and a gilded cross."""
    pen.box(x - 0.075, y - 0.06, x + 0.075, y + 0.1, (236, 234, 228), PART)
    pen.ellipse(x, y + 0.03, 0.034, 0.04, BRASS, PART)
    pen.polygon([(x - 0.095, y + 0.09), (x + 0.095, y + 0.09), (x, y + 0.26)], (92, 150, 128), PART)
    pen.stroke([(x, y + 0.24), (x, y + 0.35)], 0.022, BRASS, PART)
    pen.stroke([(x - 0.04, y + 0.31), (x + 0.04, y + 0.31)], 0.022, BRASS, PART)


def boat(pen: Pen, rng: np.random.Generator, paint: Colour, second: Colour) -> tuple[float, float]:
    """A hull with a cabin, on two wheels; the anchor is on the deck, before the cabin."""
    deck, cabin = rng.uniform(0.37, 0.43), rng.uniform(0.58, 0.65)
    for x in (-0.2, 0.2):
        pen.ellipse(x, 0.075, 0.075, 0.075, IRON, DETAIL)
        pen.ellipse(x, 0.075, 0.028, 0.028, second, DETAIL)
    pen.box(-0.34, deck - 0.02, -0.06, cabin, second)
    pen.box(-0.37, cabin, -0.03, cabin + 0.04, paint, DETAIL)
    for x in (-0.26, -0.14):
        pen.ellipse(x, (deck + cabin) / 2 + 0.01, 0.036, 0.036, GLASS, DETAIL)
    pen.blob([(-0.47, deck + 0.03), (-0.2, deck), (0.2, deck), (0.5, deck + 0.07), (0.4, 0.18), (0.28, 0.1),
              (-0.3, 0.1), (-0.42, 0.18)], paint)
    pen.stroke([(-0.42, 0.24), (0.0, 0.215), (0.41, 0.25)], 0.03, second, DETAIL, outline=0)
    return 0.14, deck


def sail(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The sailing boat's: a mast with a white sail, a red jib and a pennant."""
    top = y + rng.uniform(0.4, 0.47)
    pen.stroke([(x, y - 0.02), (x, top)], 0.026, (130, 96, 66), PART)
    pen.polygon([(x - 0.025, y + 0.06), (x - 0.025, top - 0.02), (x - 0.15, y + 0.18)], (240, 238, 228), PART)
    pen.polygon([(x + 0.025, y + 0.05), (x + 0.025, top - 0.08), (x + 0.19, y + 0.08)], (204, 70, 58), PART)
    pen.polygon([(x, top), (x, top + 0.06), (x - 0.1, top + 0.03)], (64, 104, 190), PART)


def paddle_wheel(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The paddle boat's: a large red wheel with eight blades at the side of the hull."""
    hub, start = np.array([x - 0.02, y - 0.1]), rng.uniform(0, 45)
    for turn in np.radians(start + np.arange(0, 360, 45)):
        way = np.array([math.cos(turn), math.sin(turn)])
        side = 0.035 * np.array([-way[1], way[0]])
        pen.stroke([hub, hub + 0.14 * way], 0.022, (150, 44, 44), PART)
        pen.polygon([hub + 0.1 * way + side, hub + 0.16 * way + side, hub + 0.16 * way - side, hub + 0.1 * way - side],
                    (206, 62, 56), PART)
    pen.ellipse(hub[0], hub[1], 0.045, 0.045, BRASS, PART)


def figure(pen: Pen, rng: np.random.Generator, coat: Colour, second: Colour) -> tuple[float, float]:
    """A doll in a long coat; the anchor is the crown of its head."""
    wide, skin = rng.uniform(0.27, 0.32), (232, 190, 156)
    for x in (-0.09, 0.09):
        pen.blob([(x - 0.08, 0.0), (x + 0.1, 0.0), (x + 0.08, 0.06), (x - 0.07, 0.07)], INK, DETAIL)
    pen.blob([(-wide, 0.06), (wide, 0.06), (0.22, 0.3), (0.16, 0.46), (-0.16, 0.46), (-0.22, 0.3)], coat)
    for side in (-1, 1):
        pen.stroke([(0.15 * side, 0.42), (0.27 * side, 0.31), (0.31 * side, 0.2)], 0.095, coat)
        pen.ellipse(0.315 * side, 0.17, 0.046, 0.046, skin, DETAIL)
    pen.box(-0.225, 0.24, 0.225, 0.285, second, DETAIL)
    for y in (0.34, 0.4):
        pen.ellipse(0, y, 0.016, 0.016, BRASS, DETAIL, outline=0)
    pen.ellipse(0, 0.57, 0.125, 0.125, skin, DETAIL)
    for x in (0.0, 0.085):
        pen.ellipse(x, 0.59, 0.017, 0.022, INK, DETAIL, outline=0)
    pen.stroke([(0.0, 0.515), (0.04, 0.505), (0.085, 0.52)], 0.014, (150, 60, 54), DETAIL, outline=0)
    return 0.0, 0.66


def pointed_hat(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The wizard's: a tall dark-blue hat with a bent tip and yellow stars."""
    pen.polygon([(x - 0.12, y), (x + 0.12, y), (x + 0.04, y + 0.2), (x - 0.06, y + 0.33), (x - 0.04, y + 0.18)],
                (52, 50, 120), PART)
    pen.ellipse(x, y, 0.19, 0.036, (52, 50, 120), PART)
    for u, v in ((-0.03, 0.07), (0.05, 0.1), (0.0, 0.19)):
        pen.ellipse(x + u, y + v, 0.02, 0.02, (246, 214, 84), PART, outline=0)


def crown(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The king's: a golden crown of five points with red stones."""
    points = [(-0.13, -0.02), (0.13, -0.02), (0.17, 0.17), (0.09, 0.08), (0.05, 0.2), (0.0, 0.09), (-0.05, 0.2),
              (-0.09, 0.08), (-0.17, 0.17)]
    pen.polygon(np.add(points, (x, y)), (238, 192, 64), PART)
    for u in (-0.08, 0.0, 0.08):
        pen.ellipse(x + u, y + 0.025, 0.02, 0.022, (200, 40, 52), PART)


def cabinet(pen: Pen, rng: np.random.Generator, wood: Colour, second: Colour) -> tuple[float, float]:
    """A cabinet with two drawers on four feet; the anchor is the middle of its top."""
    wide, tall = rng.uniform(0.36, 0.42), rng.uniform(0.44, 0.52)
    for x in (-0.8 * wide, 0.8 * wide):
        pen.box(x - 0.04, 0.0, x + 0.04, 0.07, IRON, DETAIL)
    pen.box(-wide, 0.06, wide, tall, wood)
    pen.box(-wide - 0.03, tall, wide + 0.03, tall + 0.045, second)
    for y in (0.11, 0.11 + (tall - 0.1) / 2):
        top = y + (tall - 0.18) / 2
        pen.polygon([(-0.8 * wide, y), (0.8 * wide, y), (0.8 * wide, top), (-0.8 * wide, top)], second)
        pen.ellipse(0, (y + top) / 2, 0.026, 0.026, BRASS, DETAIL)
    return 0.0, tall + 0.045


def horn(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The gramophone's: a wide brass horn on a bent neck over a black record."""
    pen.ellipse(x - 0.06, y + 0.015, 0.17, 0.025, INK, PART)
    pen.stroke([(x - 0.15, y + 0.02), (x - 0.18, y + 0.12), (x - 0.07, y + 0.16)], 0.03, BRASS, PART)
    pen.blob([(x - 0.08, y + 0.14), (x + 0.06, y + 0.12), (x + 0.2, y + 0.05), (x + 0.19, y + 0.31),
              (x + 0.06, y + 0.21), (x - 0.08, y + 0.18)], (226, 178, 70), PART)
    pen.ellipse(x + 0.195, y + 0.18, 0.042, 0.135, (150, 104, 40), PART)


def dial(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The clock's: a white face in a red rim with two bells and two hands."""
    for side in (-1, 1):
        pen.ellipse(x + 0.09 * side, y + 0.28, 0.055, 0.04, BRASS, PART, turn=-35 * side)
    pen.ellipse(x, y + 0.15, 0.15, 0.15, (198, 56, 52), PART)
    pen.ellipse(x, y + 0.15, 0.117, 0.117, (244, 242, 232), PART)
    for reach in (0.06, 0.095):
        turn = rng.uniform(0, 2 * math.pi)
        pen.stroke([(x, y + 0.15), (x + reach * math.cos(turn), y + 0.15 + reach * math.sin(turn))], 0.022, INK, PART,
                   outline=0)
