"""Animals among the toys of the embedded scenes: a body for each family, and the part that tells its two classes apart.

A body returns its anchor, where the family's parts are fixed, in the object's own coordinates.
"""

import math

import numpy as np

from sscnb.datasets.scenes.drawing import DETAIL, INK, IRON, PART, Colour, Pen

BONE = (236, 220, 180)


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


def bug(pen: Pen, rng: np.random.Generator, shell: Colour, second: Colour) -> tuple[float, float]:
    """A crawling insect with six legs and feelers; the anchor is on its back, behind the head."""
    high = rng.uniform(0.4, 0.47)
    for x, reach in ((-0.26, -0.1), (-0.06, -0.03), (0.16, 0.08)):
        for back, ink in ((0.05, IRON), (0.0, INK)):
            knee = (x + reach + back, 0.2)
            pen.stroke([(x + back, 0.18), knee, (knee[0] + 0.6 * reach, 0.015)], 0.03, ink, DETAIL)
    for lift, turn in ((0.1, 0.04), (0.06, 0.13)):
        pen.stroke([(0.38, 0.34), (0.42, 0.34 + lift), (0.4 + turn, 0.4 + lift)], 0.018, INK, DETAIL)
    pen.blob([(-0.49, 0.22), (-0.4, 0.1), (-0.1, 0.07), (0.12, 0.12), (0.15, 0.28), (0.03, high - 0.03), (-0.2, high),
              (-0.41, 0.36)], shell)
    for x in (-0.32, -0.17, -0.02):
        pen.stroke([(x, 0.1), (x - 0.03, 0.2), (x, high - 0.06)], 0.016, second, DETAIL, outline=0)
    pen.ellipse(0.18, 0.23, 0.13, 0.14, shell)
    pen.ellipse(0.35, 0.26, 0.13, 0.13, second)
    pen.ellipse(0.395, 0.3, 0.036, 0.038, (240, 236, 220), DETAIL, outline=0)
    pen.ellipse(0.405, 0.3, 0.018, 0.02, INK, DETAIL, outline=0)
    return 0.02, high - 0.04


def wings(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The butterfly's: two yellow wings with a dark edge and a blue eye, raised over the back."""
    fore = [(0.03, 0.0), (0.13, 0.08), (0.18, 0.21), (0.09, 0.27), (-0.01, 0.19), (-0.03, 0.04)]
    hind = [(0.0, 0.0), (-0.03, 0.12), (-0.11, 0.24), (-0.21, 0.19), (-0.19, 0.08), (-0.08, 0.01)]
    for wing, eye in ((hind, (-0.12, 0.14)), (fore, (0.08, 0.17))):
        middle = np.mean(wing, axis=0)
        pen.blob(np.add(wing, (x, y)), (46, 40, 44), PART)
        pen.blob(np.add(middle + 0.78 * np.subtract(wing, middle), (x, y)), (240, 200, 62), PART, outline=0)
        pen.ellipse(x + eye[0], y + eye[1], 0.028, 0.032, (64, 104, 190), PART)


def sting(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The scorpion's: a jointed violet tail, bent forwards over the back, with a black sting."""
    turn = np.linspace(1.35 * math.pi, 0.25 * math.pi, 8)
    joints = np.stack([x - 0.2 + 0.19 * np.cos(turn), y + 0.12 + 0.17 * np.sin(turn)], 1)
    for k, joint in enumerate(joints):
        size = 0.05 - 0.0025 * k
        pen.ellipse(joint[0], joint[1], size, size, (128, 62, 120) if k % 2 else (152, 84, 142), PART)
    tip = joints[-1]
    pen.polygon([tip + (-0.04, 0.02), tip + (0.02, 0.03), tip + (0.05, -0.11), tip + (-0.03, -0.03)], INK, PART)


def reptile(pen: Pen, rng: np.random.Generator, scale: Colour, second: Colour) -> tuple[float, float]:
    """A long-tailed reptile on two legs; the anchor is the middle of its back."""
    tail, deep = rng.uniform(0.12, 0.24), rng.uniform(-0.02, 0.03)
    far = tuple(int(0.72 * c) for c in scale)
    for x, ink in ((0.02, far), (-0.1, scale)):
        pen.blob([(x - 0.1, 0.34), (x + 0.09, 0.32), (x + 0.07, 0.16), (x + 0.02, 0.06), (x - 0.07, 0.06),
                  (x - 0.06, 0.18)], ink)
        pen.box(x - 0.08, 0.0, x + 0.1, 0.06, ink)
    pen.blob([(-0.49, tail), (-0.34, 0.19), (-0.2, 0.2), (-0.02, 0.16 - deep), (0.18, 0.28), (0.27, 0.48), (0.22, 0.64),
              (0.08, 0.6), (-0.08, 0.5), (-0.24, 0.41), (-0.38, 0.28)], scale)
    pen.blob([(0.05, 0.24), (0.15, 0.32), (0.21, 0.46), (0.13, 0.46), (0.05, 0.36)], second, DETAIL, outline=0)
    pen.blob([(0.12, 0.6), (0.17, 0.72), (0.28, 0.74), (0.42, 0.66), (0.45, 0.58), (0.36, 0.55), (0.2, 0.5)], scale)
    pen.stroke([(0.3, 0.585), (0.43, 0.6)], 0.014, INK, DETAIL, outline=0)
    pen.ellipse(0.27, 0.67, 0.03, 0.032, (240, 232, 150), DETAIL, outline=0)
    pen.ellipse(0.277, 0.67, 0.014, 0.022, INK, DETAIL, outline=0)
    pen.stroke([(0.17, 0.42), (0.27, 0.38), (0.31, 0.42)], 0.045, far, DETAIL)
    return -0.03, 0.53


def plates(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The stegosaurus's: a row of pointed red plates along the back."""
    for along, size in ((-0.31, 0.08), (-0.2, 0.11), (-0.07, 0.14), (0.07, 0.11)):
        foot = np.array([x + along, y + 0.62 * along])
        points = [(-0.06, -0.04), (0.06, 0.02), (0.05, 0.6 * size), (-0.5 * size, 1.1 * size), (-0.08, 0.4 * size)]
        pen.polygon(foot + points, (196, 84, 62), PART)
        pen.stroke([foot + (0.0, 0.0), foot + (-0.25 * size, 0.7 * size)], 0.012, (120, 46, 40), PART, outline=0)


def sails_of_skin(pen: Pen, rng: np.random.Generator, x: float, y: float) -> None:
    """The dragon's: a dark ribbed wing of skin, spread backwards."""
    wing = [(0.05, -0.03), (0.0, 0.16), (-0.04, 0.29), (-0.13, 0.19), (-0.21, 0.24), (-0.23, 0.11), (-0.33, 0.11),
            (-0.15, -0.02)]
    pen.polygon(np.add(wing, (x, y)), (70, 62, 104), PART)
    for tip in ((-0.04, 0.29), (-0.21, 0.24), (-0.33, 0.11)):
        pen.stroke([(x + 0.04, y), (x + tip[0], y + tip[1])], 0.02, (176, 150, 196), PART)
