"""The places of the embedded scenes: grounds, the backdrops that stand behind them, and the track."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from sscnb.datasets.scenes.drawing import Colour, noise, tint


def _flat(colour: Colour | np.ndarray, side: int) -> np.ndarray:
    return np.full((side, side, 3), colour, np.float32)


def _laid_down(texture: np.ndarray, horizon: int, spread: float = 0.7) -> np.ndarray:
    """See a square texture in perspective: its far edge at the horizon, its near one wider than the picture."""
    n = len(texture)
    corners = np.array([[0, 0], [n, 0], [n, n], [0, n]], np.float32)
    seen = np.array([[0, horizon], [n, horizon], [(1 + spread) * n, n], [-spread * n, n]], np.float32)
    return cv2.warpPerspective(texture, cv2.getPerspectiveTransform(corners, seen), (n, n), flags=cv2.INTER_LINEAR)


def grass(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A lawn of single blades, longer in front."""
    base = np.array(tint(rng, (92, 124, 58)), np.float32)
    field = _flat(base, side) + 14 * noise(rng, (side, side), [side / 6, side / 20])[..., None]
    feet = rng.random((1500, 2)) * (side, side - horizon) + (0, horizon)
    length = side * (0.018 + 0.045 * (feet[:, 1] - horizon) / (side - horizon)) * rng.uniform(0.6, 1.2, 1500)
    tips = feet + np.stack([length * rng.normal(0, 0.35, 1500), -length], 1)
    order = np.argsort(feet[:, 1] + rng.normal(0, 0.1 * side, 1500))  # roughly from far to near: exactly would be bands
    blades = np.round(np.stack([feet, tips], 1)[order]).astype(np.int32)
    for start in range(0, 1500, 30):
        green = np.clip(base * rng.uniform(0.6, 1.35) + rng.normal(0, 6, 3), 0, 255)
        cv2.polylines(field, list(blades[start : start + 30]), False, green.tolist(), max(1, round(side / 240)))
    return field


def sand(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """Sand with wind ripples and grains."""
    field = _flat(tint(rng, (206, 182, 136)), side)
    y, _ = np.mgrid[0:side, 0:side].astype(np.float32) / side
    bent = noise(rng, (side, side), [(side / 8, side / 3)])
    ripples = np.sin(2 * math.pi * (rng.uniform(9, 14) * np.sqrt(np.maximum(y - horizon / side, 0)) + 0.5 * bent))
    field += (7 * ripples + 16 * noise(rng, (side, side), [side / 4, side / 12]))[..., None]
    return field + 12 * noise(rng, (side, side), [side / 300, side / 120])[..., None]


def _stones(rng: np.random.Generator, side: int, pitch: float, colours: Sequence[Colour], gap: Colour) -> np.ndarray:
    """Stones around the points of a shaken grid: a pixel belongs to the nearest point and darkens away from it."""
    across = math.ceil(side / pitch) + 1
    points = np.stack(np.meshgrid(np.arange(across), np.arange(across)), -1).reshape(-1, 2)
    points = np.clip((points + rng.uniform(0.1, 0.9, points.shape)) * pitch, 0, side - 1).astype(int)
    seeds = np.ones((side, side), np.uint8)
    seeds[points[:, 1], points[:, 0]] = 0
    far, owner = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    shades = np.array(colours, np.float32)[rng.integers(len(colours), size=owner.max() + 1)]
    shades += rng.normal(0, 10, (len(shades), 1)).astype(np.float32)
    far *= 1 / (0.72 * pitch)
    inside = np.clip(1.15 - far * far * far, 0, 1.1)[..., None]
    return shades[owner] * inside + np.array(gap, np.float32) * np.clip(1 - inside, 0, 1)


def pebbles(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """Round stones, smaller far away."""
    colours = [tint(rng, c) for c in [(158, 148, 136), (122, 116, 112), (190, 178, 160), (140, 110, 92)]]
    return _laid_down(_stones(rng, side, side / rng.uniform(20, 27), colours, (66, 60, 56)), horizon, 0.5)


def _boards(rng: np.random.Generator, side: int, count: int, colour: Colour) -> np.ndarray:
    """Upright boards of wood, each of its own shade, with grain and dark seams."""
    wide = side / count
    board = (np.arange(side) / wide).astype(int)
    shade = rng.normal(1, 0.09, count + 1).astype(np.float32)[board]
    field = _flat(colour, side) * shade[None, :, None]
    field *= 1 + 0.13 * noise(rng, (side, side), [(side / 3, side / 90), (side / 8, side / 200)])[..., None]
    seam = np.minimum(np.arange(side) % wide, wide - np.arange(side) % wide) < max(1.0, side / 300)
    field[:, seam] *= 0.5
    return field


def planks(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A floor of boards that run to the back."""
    return _laid_down(_boards(rng, side, int(rng.integers(12, 18)), tint(rng, (170, 124, 80))), horizon)


def tiles(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A chequered floor."""
    cell = side / int(rng.integers(10, 15))
    odd = (np.arange(side) / cell).astype(int) % 2
    light, dark = tint(rng, (204, 196, 182)), tint(rng, (132, 104, 96) if rng.random() < 0.5 else (98, 116, 128))
    field = np.array([light, dark], np.float32)[odd[:, None] ^ odd]
    field *= 1 + 0.1 * noise(rng, (side, side), [side / 10, side / 30])[..., None]
    line = np.arange(side) % cell < max(1.0, side / 300)
    field[line], field[:, line] = 110, 110
    return _laid_down(field, horizon)


def rails(rng: np.random.Generator, side: int, horizon: int, track: tuple[float, float, float]) -> np.ndarray:
    """Ballast with sleepers and two rails; track = (x, y, degrees), a point of the near rail and its slope."""
    colours = [tint(rng, c, 8) for c in [(122, 116, 110), (98, 92, 90), (146, 138, 128)]]
    field = _laid_down(_stones(rng, side, side / 40, colours, (56, 52, 50)), horizon, 0.3)
    slope = math.tan(math.radians(-track[2]))
    near, far = np.array([track[0], track[1]]) * side, np.array([track[0], track[1] - 0.1]) * side
    pitch = rng.uniform(0.085, 0.11) * side
    along = np.array([1.0, slope])
    shift = rng.random()
    for k in range(-16, 17):
        top, foot = far + (k + shift) * 0.93 * pitch * along, near + (k + shift) * pitch * along
        half, rise = 0.24 * pitch * along, np.array([0, 0.022 * side])
        corners = np.stack([top - half - rise, top + half - rise, foot + half + rise, foot - half + rise])
        wood = np.array(tint(rng, (98, 72, 54), 8), float)
        cv2.fillPoly(field, [np.round(corners * 16).astype(np.int32)], wood.tolist(), shift=4)
    for rail, size in ((far, 0.011), (near, 0.015)):
        for lift, colour in ((0.0, (58, 50, 48)), (-0.006 * side, (186, 188, 194))):
            ends = [rail + way * 2 * side * along + (0, lift) for way in (-1, 1)]
            thick = max(1, round(size * side * (1 if lift == 0 else 0.5)))
            cv2.polylines(field, [np.round(ends).astype(np.int32)], False, colour, thick)
    return field


def hills(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """Sky with clouds over two lines of hills."""
    field = _sky(rng, side, horizon)
    x = np.arange(side) / side
    y = np.arange(side)[:, None]
    for lift, colour in ((0.16, (138, 158, 160)), (0.07, (98, 132, 94))):
        wave = 0.05 * np.sin(x * rng.uniform(4, 9) + rng.uniform(0, 6)) + 0.02 * np.sin(x * 17 + rng.uniform(0, 6))
        field[y > horizon - side * (lift + wave)] = tint(rng, colour)
    return field + 9 * noise(rng, (side, side), [side / 20, side / 60])[..., None]


def sea(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """Sky with clouds over open water."""
    field = _sky(rng, side, horizon)
    shore = int(horizon - side * rng.uniform(0.12, 0.24))
    depth = np.linspace(0, 1, side - shore, dtype=np.float32)[:, None, None]
    far, near = np.array(tint(rng, (44, 98, 132)), np.float32), np.array((126, 186, 190), np.float32)
    water = far * (1 - depth) + near * depth
    waves = noise(rng, (side - shore, side), [(side / 70, side / 9), (side / 150, side / 30)])
    field[shore:] = water + 20 * waves[..., None]
    return field


def _sky(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    down = np.clip(np.linspace(0, side / horizon, side, dtype=np.float32), 0, 1)[:, None, None]
    high, low = np.array(tint(rng, (104, 156, 208)), np.float32), np.array((206, 220, 226), np.float32)
    sky = high * (1 - down) + low * down
    cloud = noise(rng, (side, side), [(side / 6, side / 3), (side / 14, side / 7), side / 24])
    return sky + np.clip(1.5 * cloud - 0.15, 0, 0.85)[..., None] * (246 - sky)


def bricks(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A brick wall."""
    high = side / int(rng.integers(14, 20))
    row = (np.arange(side) / high).astype(int)
    along = np.arange(side) / (2.3 * high) + np.array([[0.0], [0.5]])  # even rows, odd rows
    shade = rng.normal(1, 0.11, (row[-1] + 1, int(along.max()) + 1)).astype(np.float32)
    shade = shade[row[:, None], along.astype(int)[row % 2]]
    shade *= 1 + 0.09 * noise(rng, (side, side), [side / 5, side / 100])
    clay = tint(rng, (158, 92, 74) if rng.random() < 0.7 else (176, 164, 146))
    wall = np.array(clay, np.float32) * shade[..., None]
    mortar = (along % 1 < 0.055)[row % 2]
    mortar[np.arange(side) % high < 0.13 * high] = True
    wall[mortar] = (188, 182, 172)
    return wall


def fence(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A fence of boards."""
    wood = tint(rng, (150, 132, 112) if rng.random() < 0.5 else (120, 150, 140))
    return _boards(rng, side, int(rng.integers(9, 14)), wood)


def wallpaper(rng: np.random.Generator, side: int, horizon: int) -> np.ndarray:
    """A papered wall, striped or dotted, with a skirting board."""
    base = np.array(tint(rng, [(206, 196, 172), (170, 190, 186), (204, 174, 166), (162, 172, 196)][rng.integers(4)]))
    x = np.arange(side, dtype=np.float32) / side / rng.uniform(0.06, 0.11)
    if rng.random() < 0.5:
        mark = np.broadcast_to(x % 1 < 0.45, (side, side))
    else:
        across = (x + np.array([[0.0], [0.5]])) % 1 - 0.5  # even rows, odd rows
        mark = np.hypot(across[x.astype(int) % 2], x[:, None] % 1 - 0.5) < 0.2
    wall = np.float32(base) * np.where(mark, np.float32(0.88), np.float32(1))[..., None]
    wall += 7 * noise(rng, (side, side), [side / 4, side / 90])[..., None]
    wall[max(0, horizon - side // 20) :] = (226, 222, 212)
    wall[max(0, horizon - side // 20) : max(0, horizon - side // 24)] = (150, 146, 140)
    return wall


Place = Callable[[np.random.Generator, int, int], np.ndarray]
GROUNDS: dict[str, tuple[Place | None, tuple[Place, ...]]] = {  # a ground and the backdrops that may stand behind it
    "grass": (grass, (hills, bricks, fence)),
    "sand": (sand, (sea, hills, fence)),
    "pebbles": (pebbles, (sea, bricks, hills)),
    "planks": (planks, (wallpaper, bricks, fence)),
    "tiles": (tiles, (wallpaper, bricks, sea)),
    "rails": (None, (hills, bricks, fence)),
}


def draw_place(
    rng: np.random.Generator, ground: str, side: int, horizon: int, track: tuple[float, float, float]
) -> np.ndarray:
    """Draw an empty place, (side, side, 3) float32 RGB 0..255: `ground` from row `horizon` down, a backdrop above it.

    track: (x, y, degrees) of the near rail, used where the ground is rails.
    """
    floor, backdrops = GROUNDS[ground]
    picture = backdrops[rng.integers(len(backdrops))](rng, side, horizon)
    front = rails(rng, side, horizon, track) if floor is None else floor(rng, side, horizon)
    depth = np.arange(side - horizon, dtype=np.float32) / side
    picture[horizon:] = front[horizon:] * np.clip(0.78 + 2.2 * depth, 0, 1)[:, None, None]  # dim where the two meet
    return np.clip(picture, 0, 255, out=picture)
