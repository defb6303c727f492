"""Drawing for the embedded scenes: seeded noise, patterns, and a pen that works in an object's own coordinates.

In these coordinates an object stands on (0, 0), faces right, y points up and its longer side is about 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

NOTHING, SURFACE, DETAIL, PART = range(4)  # what a pixel of a sprite shows; only SURFACE takes the coat's pattern
Points = Sequence[tuple[float, float]] | Sequence[np.ndarray] | np.ndarray
Colour = Sequence[int]
Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]

INK, IRON = (38, 34, 36), (62, 62, 70)


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: Sequence[float | tuple[float, float]]) -> np.ndarray:
    """Smooth noise (H, W) float32 of mean about 0 and values about -1..1: one octave a cell size, halved each time.

    A cell is its side in pixels, or (height, width), and octaves are listed from the strongest.
    """
    total, strength = np.zeros(shape, np.float32), 1.0
    for cell in cells:
        height, width = cell if isinstance(cell, tuple) else (cell, cell)
        grid = rng.random((math.ceil(shape[0] / height) + 3, math.ceil(shape[1] / width) + 3), np.float32) * 2 - 1
        place = np.array([[width, 0, -1.5 * width], [0, height, -1.5 * height]], np.float32)
        total += strength * cv2.warpAffine(grid, place, shape[::-1], flags=cv2.INTER_LINEAR)
        strength /= 2
    return total


def tint(rng: np.random.Generator, colour: Colour, spread: float = 14) -> tuple[int, int, int]:
    """A colour near the given one: brightness and each channel moved by about `spread` of 255."""
    moved = np.asarray(colour) + rng.normal(0, spread) + rng.normal(0, spread / 2, 3)
    red, green, blue = (int(c) for c in np.clip(moved, 12, 245))
    return red, green, blue


# Patterns of a coat: object coordinates u, v (H, W) and a generator give the weight, 0..1, of the second colour (H, W).


def _soft(edge: np.ndarray, width: float) -> np.ndarray:
    return np.clip(edge / width + 0.5, 0, 1)


def stripes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Upright stripes."""
    return 0.8 * _soft(np.sin(u * rng.uniform(38, 60)) - 0.25, 0.5)


def bands(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Level bands."""
    return 0.8 * _soft(np.sin(v * rng.uniform(36, 56) + 0.8 * np.sin(5 * u)) - 0.35, 0.5)


def dots(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round dots on a staggered grid."""
    pitch = rng.uniform(0.1, 0.14)
    row = np.floor(v / pitch)
    across = (u / pitch + 0.5 * (row % 2)) % 1 - 0.5
    return 0.85 * _soft(0.3 - np.hypot(across, v / pitch - row - 0.5), 0.15)


def patches(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Large irregular patches."""
    side = max(4.0, len(u) / 5)
    return 0.85 * _soft(noise(rng, u.shape, [side, side / 2]) - 0.1, 0.1)


def scallops(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of overlapping feathers."""
    pitch = rng.uniform(0.085, 0.11)
    row = np.floor(v / pitch)
    across = (u / pitch + 0.5 * (row % 2)) % 1 - 0.5
    return 0.7 * _soft(0.16 - np.abs(v / pitch - row - 2.2 * across**2 - 0.15), 0.2)


def plain(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Little but the first colour: a faint cloudiness."""
    return 0.25 * np.clip(noise(rng, u.shape, [max(3.0, len(u) / 4)]), 0, 1)


@dataclass(frozen=True)
class Sprite:
    """One drawn object: colour (h, w, 3) uint8 RGB, role (h, w) uint8 as above, foot (x, y) in its pixels."""

    colour: np.ndarray
    role: np.ndarray
    foot: tuple[int, int]


class Pen:
    """Draws filled shapes of an object that is `pixels` long, turned by `tilt` degrees and perhaps mirrored."""

    def __init__(self, pixels: float, tilt: float = 0.0, mirror: bool = False):
        side = math.ceil(1.9 * pixels)  # room for any turn of a unit square
        turn = math.radians(tilt)
        self.pixels = pixels
        self.colour = np.zeros((side, side, 3), np.uint8)
        self.role = np.zeros((side, side), np.uint8)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        self.matrix = pixels * np.diag([-1.0 if mirror else 1.0, -1.0]) @ rotation
        self.centre = np.array([0.0, 0.45])  # of the object, laid on the centre of the sheet

    def to_pixels(self, points: Points) -> np.ndarray:
        """Object coordinates (N, 2) to pixels (N, 2), float."""
        return (np.asarray(points, float) - self.centre) @ self.matrix.T + self.role.shape[0] / 2

    def polygon(self, points: Points, colour: Colour, role: int = SURFACE, outline: float = 0.011) -> None:
        """Fill a polygon and draw a darker outline `outline` wide around it."""
        corners = np.round(self.to_pixels(points) * 16).astype(np.int32)
        edge = max(1, round(outline * self.pixels))
        for sheet, fill, line in ((self.colour, colour, _darker(colour)), (self.role, role, role)):
            cv2.fillPoly(sheet, [corners], _scalar(fill), shift=4)
            if outline:
                cv2.polylines(sheet, [corners], True, _scalar(line), edge, shift=4)

    def blob(self, points: Points, colour: Colour, role: int = SURFACE, outline: float = 0.011) -> None:
        """Fill the smooth closed curve (Catmull-Rom) through the points."""
        p = np.asarray(points, float)
        before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
        curve = []
        for t in np.linspace(0, 1, 8, endpoint=False):
            curve.append(p + 0.5 * t * (after - before + t * (2 * before - 5 * p + 4 * after - beyond
                                                              + t * (3 * p - 3 * after + beyond - before))))
        self.polygon(np.stack(curve, 1).reshape(-1, 2), colour, role, outline)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, role: int = SURFACE, turn: float = 0.0,
                outline: float = 0.011) -> None:
        """Fill an ellipse with half axes rx, ry, turned by `turn` degrees."""
        t = np.linspace(0, 2 * math.pi, 28, endpoint=False)
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        u, v = rx * np.cos(t), ry * np.sin(t)
        self.polygon(np.stack([x + c * u - s * v, y + s * u + c * v], 1), colour, role, outline)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, role: int = SURFACE,
            outline: float = 0.011) -> None:
        """Fill a rectangle between two corners."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, role, outline)

    def stroke(self, points: Points, width: float, colour: Colour, role: int = SURFACE, outline: float = 0.011) -> None:
        """Draw a line with round ends through the points."""
        path = np.round(self.to_pixels(points) * 16).astype(np.int32)
        for grow, ink in ((2 * outline, _darker(colour)), (0.0, colour)):
            thick = max(1, round((width + grow) * self.pixels))
            cv2.polylines(self.colour, [path], False, _scalar(ink), thick, shift=4)
            cv2.polylines(self.role, [path], False, role, thick, shift=4)

    def finish(self, rng: np.random.Generator, light: tuple[float, float], second: Colour = INK,
               pattern: Pattern | None = None, grain: float = 0.05) -> Sprite:
        """Lay the pattern on the surface, shade the toy as a rounded solid and cut it out of the sheet.

        light: unit vector in pixels that points to the lamp; pattern: (u, v, rng) -> weights 0..1 of the second colour.
        """
        rows, columns = np.flatnonzero(self.role.any(1)), np.flatnonzero(self.role.any(0))
        top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        colour = self.colour[top:bottom, left:right].astype(np.float32)
        role = self.role[top:bottom, left:right]
        if pattern is not None:
            y, x = np.mgrid[top:bottom, left:right].astype(np.float32) - self.role.shape[0] / 2
            (a, b), (c, e) = np.linalg.inv(self.matrix).tolist()  # plain floats keep single precision
            u, v = a * x + b * y + float(self.centre[0]), c * x + e * y + float(self.centre[1])
            weight = np.where(role == SURFACE, pattern(u, v, rng), np.float32(0))[..., None]
            colour += weight * (np.asarray(second, np.float32) - colour)
        sigma = 0.04 * self.pixels
        solid = cv2.GaussianBlur(np.pad((role > 0).astype(np.float32), 1), (0, 0), sigma)
        slope = cv2.Sobel(solid, -1, 1, 0, scale=1 / 8) * light[0] + cv2.Sobel(solid, -1, 0, 1, scale=1 / 8) * light[1]
        shade = 1 - 0.75 * sigma * slope[1:-1, 1:-1]
        shade *= np.linspace(1.06, 0.9, len(role), dtype=np.float32)[:, None]  # the ground throws back less light
        shade += grain * noise(rng, role.shape, [max(2, self.pixels / 60), self.pixels / 12])
        foot = np.round(self.to_pixels([(0, 0)])[0] - (left, top)).astype(int)
        shaded = np.clip(colour * shade[..., None], 0, 255).astype(np.uint8)
        return Sprite(shaded, role.copy(), (int(foot[0]), int(foot[1])))


def _darker(colour: Colour) -> Colour:
    return [int(0.5 * c) for c in colour]


def _scalar(colour: Colour | int) -> tuple[int, ...]:
    return (colour,) if isinstance(colour, int) else tuple(int(c) for c in colour)
