"""From the rules to a picture with its mask: choose toys, stand them in a place, take the photograph."""

from dataclasses import dataclass

import cv2
import numpy as np

from sscnb.datasets.scenes.drawing import NOTHING, PART, Sprite
from sscnb.datasets.scenes.grounds import GROUNDS, draw_place
from sscnb.datasets.scenes.rules import HOMEBODY, OWN_GROUND, SPLITS, SceneConfig
from sscnb.datasets.scenes.toys import CLUTTER, PARTS, draw_clutter, draw_toy
from sscnb.errors import UserError

IGNORE = 255
_DRAWN_LARGER = 3  # everything is drawn this many times larger and averaged; odd, so that a pixel has a middle
_TRIES = 25  # at placing an object


@dataclass(frozen=True)
class Scene:
    """One image with all that is known about it."""

    image: np.ndarray  # H,W,3 uint8 RGB
    mask: np.ndarray  # H,W uint8: 0 background, 1..C, 255 on a line about a pixel wide around each object
    part: np.ndarray  # H,W uint8: 1 where the part that only its class has is in sight
    sibling: np.ndarray  # H,W uint8: 1 where a body of no class is in sight
    labels: tuple[str, ...]  # classes in the mask, in the order of the config's
    ground: str  # a key of GROUNDS


@dataclass(frozen=True)
class _Placed:
    sprite: Sprite
    name: str | None  # its class
    sibling: bool
    left: int  # of the sprite in the image, pixels of the image
    top: int
    foot: float  # height at which it stands: what stands lower is nearer and hides the rest

    @property
    def role(self) -> np.ndarray:
        """Role at image resolution: what lies in the middle of each pixel."""
        return self.sprite.role[_DRAWN_LARGER // 2 :: _DRAWN_LARGER, _DRAWN_LARGER // 2 :: _DRAWN_LARGER]


def render_scene(config: SceneConfig, index: int, split: str) -> Scene:
    """Draw scene `index` of a split; it depends on the rules and the seed alone, not on which others are drawn.

    Raises:
        UserError: the split is neither train nor val.
    """
    if split not in SPLITS:
        raise UserError(f"the embedded scenes have no split {split!r}; valid are 'train' and 'val'.")
    place_rng, toy_rng, camera_rng = np.random.default_rng([config.seed, SPLITS.index(split), index]).spawn(3)
    horizon = place_rng.uniform(0.3, 0.52)
    track = (0.5, place_rng.uniform(0.74, 0.92), place_rng.uniform(-6, 6))
    on_track = place_rng.random() < config.own_ground
    placed = _stand_toys(config, toy_rng, _first_class(config, index, split), horizon, track if on_track else None)
    if not any(p.name == HOMEBODY for p in placed):
        on_track = place_rng.random() < config.own_ground_others
    others = [g for g in GROUNDS if g != OWN_GROUND]
    ground = OWN_GROUND if on_track else others[place_rng.integers(len(others))]

    side = _DRAWN_LARGER * config.size
    canvas = draw_place(place_rng, ground, side, round(horizon * side), track)
    for item in placed:
        _shadow(canvas, item)
        top, left = item.top * _DRAWN_LARGER, item.left * _DRAWN_LARGER
        (rows, columns), (own_rows, own_columns) = _overlap(item.sprite.role.shape, top, left, side)
        shown = item.sprite.role[own_rows, own_columns] != NOTHING
        np.copyto(canvas[rows, columns], item.sprite.colour[own_rows, own_columns], where=shown[..., None])
    image = _photograph(config, camera_rng, canvas)

    seen, roles = _in_sight(placed, config.size)
    classes = np.array([0] + [config.classes.index(p.name) + 1 if p.name else 0 for p in placed], np.uint8)
    siblings = np.array([False] + [p.sibling for p in placed])
    mask = classes[seen]
    # The line runs on the far side of each contour: there pixels are mixed, and thin parts keep their width.
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    hidden_object = (cv2.dilate(seen, cross) > seen) & (mask > 0)
    behind_object = cv2.dilate(np.where(mask > 0, seen, 0), cross) > seen
    mask[hidden_object | behind_object] = IGNORE
    kept = (mask > 0) & (mask != IGNORE)
    return Scene(
        image=image,
        mask=mask,
        part=((roles == PART) & kept).astype(np.uint8),
        sibling=siblings[seen].astype(np.uint8),
        labels=tuple(name for k, name in enumerate(config.classes, 1) if (mask == k).any()),
        ground=ground,
    )


def _first_class(config: SceneConfig, index: int, split: str) -> str:
    """Each run of C scenes has each class once as its first object: classes are even and small sets have all."""
    block, within = divmod(index, len(config.classes))
    order = np.random.default_rng([config.seed, SPLITS.index(split), block, 1]).permutation(len(config.classes))
    return config.classes[order[within]]


def _stand_toys(
    config: SceneConfig, rng: np.random.Generator, first: str, horizon: float, track: tuple[float, float, float] | None
) -> list[_Placed]:
    """Choose and place toys one by one; return those that found a place, from far to near.

    A train stands on the track, or like the others where there is none.
    """
    further = rng.choice(len(config.objects), p=config.objects)
    low, high = config.lengths[further]
    classes = config.classes
    wanted: list[tuple[str, str | None]] = [("toy", first)]  # what to draw and its class
    for _ in range(further):
        wanted.append(("toy", first if rng.random() < config.same_class else classes[rng.integers(len(classes))]))
    if rng.random() < config.siblings:
        wanted.append(("toy", None))
    for rate in (config.clutter, config.clutter / 2):
        if rng.random() < rate:
            wanted.append((CLUTTER[rng.integers(len(CLUTTER))], None))
    towards_lamp = rng.uniform(0.15, 0.85) * np.pi
    light = (float(np.cos(towards_lamp)), float(-np.sin(towards_lamp)))

    placed: list[_Placed] = []
    for kind, name in wanted:
        length, tilt, mirror = rng.uniform(low, high), rng.uniform(-config.tilt, config.tilt), bool(rng.random() < 0.5)
        under = track if name == HOMEBODY else None
        if under is not None:
            tilt = -under[2] if mirror else under[2]
        if kind == "toy":
            family = PARTS[name][0] if name else config.bodies[rng.integers(config.families)]
            sprite = draw_toy(rng, family, name, length * config.size * _DRAWN_LARGER, tilt, mirror, light)
        else:
            length *= rng.uniform(0.35, 0.7)
            sprite = draw_clutter(rng, kind, length * config.size * _DRAWN_LARGER, tilt, light)
        for attempt in range(_TRIES):
            last_resort = not placed and attempt == _TRIES - 1  # the first object must be there
            x = 0.5 if last_resort else rng.uniform(0.4 * length, 1 - 0.4 * length)
            nearness = np.clip((length - 0.2) / 0.4 + rng.uniform(-0.35, 0.35), 0, 1)  # what is near looks larger
            foot = horizon + 0.14 + (0.79 - horizon) * nearness
            if under is not None:
                foot = under[1] - np.tan(np.radians(under[2])) * (x - under[0])
            left = round(x * config.size - sprite.foot[0] / _DRAWN_LARGER)
            top = max(1, round(foot * config.size - sprite.foot[1] / _DRAWN_LARGER))
            item = _Placed(sprite, name, kind == "toy" and name is None, left, top, foot)
            if last_resort or _all_in_sight(config, [*placed, item]):
                placed.append(item)
                break
    return sorted(placed, key=lambda p: p.foot)


def _overlap(shape: tuple[int, int], top: int, left: int, side: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a sprite lies in the picture, and which of its own pixels lie there."""
    picture, own = [], []
    for start, length in ((top, shape[0]), (left, shape[1])):
        low, high = max(0, start), max(0, min(side, start + length))
        picture.append(slice(low, max(low, high)))
        own.append(slice(low - start, max(low, high) - start))
    return (picture[0], picture[1]), (own[0], own[1])


def _in_sight(placed: list[_Placed], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which item is in sight at each pixel (H, W: 0 none, 1.. from far to near), and which role of it."""
    seen, roles = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for number, item in enumerate(placed, 1):
        role = item.role
        there, own = _overlap(role.shape, item.top, item.left, size)
        shown = role[own] != NOTHING
        seen[there][shown] = number
        roles[there][shown] = role[own][shown]
    return seen, roles


def _all_in_sight(config: SceneConfig, placed: list[_Placed]) -> bool:
    placed = sorted(placed, key=lambda p: p.foot)
    seen, roles = _in_sight(placed, config.size)
    for number, item in enumerate(placed, 1):
        role, there = item.role, seen == number
        if there.sum() < config.min_visible * (role != NOTHING).sum():
            return False
        if (roles[there] == PART).sum() < config.min_part_visible * (role == PART).sum():
            return False
    return True


def _shadow(canvas: np.ndarray, item: _Placed) -> None:
    """Darken the ground under an item: a soft ellipse as wide as the item."""
    height, width = item.sprite.role.shape
    middle = item.left * _DRAWN_LARGER + width // 2, item.top * _DRAWN_LARGER + item.sprite.foot[1]
    reach = int(0.75 * width)
    rows = slice(max(0, middle[1] - reach // 2), max(0, middle[1] + reach // 2))
    columns = slice(max(0, middle[0] - reach), max(0, middle[0] + reach))
    patch = canvas[rows, columns]
    if patch.size:
        dark = np.zeros(patch.shape[:2], np.float32)
        centre = (middle[0] - columns.start, middle[1] - rows.start)
        cv2.ellipse(dark, centre, (int(0.46 * width), max(2, int(0.08 * width))), 0, 0, 360, 0.55, -1)
        patch *= 1 - cv2.GaussianBlur(dark, (0, 0), max(1.0, 0.035 * width))[..., None]


def _photograph(config: SceneConfig, rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Take the picture: down to image size, uneven light, exposure, white balance, blur and sensor noise."""
    n = config.size
    picture = cv2.resize(canvas, (n, n), interpolation=cv2.INTER_AREA) / 255
    y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j].astype(np.float32)
    way = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.16) * (x * np.cos(way) + y * np.sin(way)) - rng.uniform(0.02, 0.12) * (x**2 + y**2)
    picture = picture * light[..., None].astype(np.float32) * rng.normal(1, 0.035, 3).astype(np.float32)
    picture = np.clip(picture * rng.uniform(0.92, 1.2), 0, 1) ** np.float32(rng.uniform(0.88, 1.15))
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(*config.blur))
    grain = rng.standard_normal((n, n, 3), np.float32) * 0.7 + rng.standard_normal((n, n, 1), np.float32) * 0.7
    picture = 255 * picture + rng.uniform(*config.sensor_noise) * grain
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
