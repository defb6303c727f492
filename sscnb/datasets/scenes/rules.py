"""The rules by which the embedded scenes are made, fixed before any method was run on the pictures."""

from dataclasses import dataclass

from sscnb.datasets.scenes.grounds import GROUNDS
from sscnb.datasets.scenes.toys import FAMILIES, PARTS
from sscnb.errors import UserError

SPLITS = ("train", "val")
HOMEBODY, OWN_GROUND = "train", "rails"  # the class of the co-occurrence failure (Fig. 8), and the ground it stands on
LOOK_ALIKES = ("stag", "ram")  # a pair that only the form of a small part tells apart


@dataclass(frozen=True)
class SceneConfig:
    """The rules of generation. Lengths are fractions of the image's side, rates are probabilities."""

    size: int = 160  # side of the square images, pixels
    train: int = 300  # images in split train
    val: int = 100  # images in split val
    seed: int = 0
    families: int = 10  # of bodies, in the order of FAMILIES, with two classes each
    objects: tuple[float, ...] = (0.42, 0.36, 0.22)  # rate of one, two, three objects in an image
    lengths: tuple[tuple[float, float], ...] = ((0.6, 0.9), (0.46, 0.68), (0.36, 0.52))  # of one, two, three objects
    same_class: float = 0.2  # rate at which a further object is of the first one's class; else each class is as likely
    own_ground: float = 0.9  # rate of a track under the train
    own_ground_others: float = 0.04  # rate of a track in images without a train
    siblings: float = 0.25  # rate of a body without a part, which is no class
    clutter: float = 0.6  # rate of a ball, crate, toadstool, stone or bush; one more comes at half this rate
    tilt: float = 14.0  # objects lean by up to so many degrees either way
    min_visible: float = 0.6  # a placement that leaves less of any object in sight is not taken
    min_part_visible: float = 0.7  # nor one that leaves less of its part
    blur: tuple[float, float] = (0.3, 0.75)  # standard deviation of the lens blur, pixels
    sensor_noise: tuple[float, float] = (1.5, 5.0)  # standard deviation of the noise, grey levels of 255
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        if self.size < 48 or self.train < 1 or self.val < 1 or self.seed < 0:
            raise UserError(
                "the embedded scenes need size >= 48, train >= 1, val >= 1 and seed >= 0; "
                f"got size {self.size}, train {self.train}, val {self.val}, random seed {self.seed}."
            )
        if not 2 <= self.families <= len(FAMILIES):  # the pairs of two failures are in the first two
            raise UserError(f"the embedded scenes need families in 2..{len(FAMILIES)}; got {self.families}.")
        rates = {name: getattr(self, name) for name in _RATES}
        wrong = [f"{name} = {rate}" for name, rate in rates.items() if not 0 <= rate <= 1]
        if wrong:
            raise UserError(f"the embedded scenes need rates in 0..1; got {', '.join(wrong)}.")
        if len(self.objects) != len(self.lengths) or abs(sum(self.objects) - 1) > 1e-6:
            raise UserError(
                "the embedded scenes need `objects` to sum to 1 and to have one entry for each of `lengths`; "
                f"got {self.objects} and {self.lengths}."
            )
        if any(not 0.05 <= low <= high < 1 for low, high in self.lengths):
            raise UserError(f"the embedded scenes need lengths in .05..1, the smaller first; got {self.lengths}.")
        spreads = {"blur": self.blur, "sensor_noise": self.sensor_noise}
        if wrong := [f"{name} = {pair}" for name, pair in spreads.items() if not 0 <= pair[0] <= pair[1] <= 100]:
            raise UserError(f"the embedded scenes need ranges in 0..100, the smaller first; got {', '.join(wrong)}.")
        if not 0 <= self.tilt <= 180 or not 1 <= self.jpeg_quality <= 100:
            raise UserError(
                "the embedded scenes need a tilt in 0..180 and a jpeg_quality in 1..100; "
                f"got {self.tilt} and {self.jpeg_quality}."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of their numbers in a mask."""
        return tuple(name for name, (family, _) in PARTS.items() if family in self.bodies)

    @property
    def bodies(self) -> tuple[str, ...]:
        """The families' names."""
        return tuple(FAMILIES)[: self.families]


_RATES = (
    "same_class", "own_ground", "own_ground_others", "siblings", "clutter", "min_visible", "min_part_visible",
)  # fmt: skip


def describe_rules(config: SceneConfig) -> list[tuple[str, str]]:
    """Return the rules of generation as (rule, number) rows for a table, from the config's own values."""

    def span(low_high: tuple[float, float]) -> str:
        return f"{low_high[0]:g} to {low_high[1]:g}"

    counts = ", ".join(str(k) for k in range(1, len(config.objects) + 1))
    families = [" and ".join(name for name, (family, _) in PARTS.items() if family == body) for body in config.bodies]
    return [
        (
            "images",
            f"{config.train} train, {config.val} val, {config.size} x {config.size} pixels, random seed {config.seed}",
        ),
        ("classes, paired by the body they share", "; ".join(families)),
        ("pair whose parts are alike in colour, size and place", " and ".join(LOOK_ALIKES)),
        ("grounds", ", ".join(GROUNDS)),
        ("first object", f"each class once in every {len(config.classes)} images"),
        (f"rate of {counts} objects", ", ".join(f"{r:g}" for r in config.objects)),
        ("object length / image side, by number of objects", ", ".join(span(r) for r in config.lengths)),
        ("rate at which a further object repeats the first one's class", f"{config.same_class:g}"),
        (f"rate of {OWN_GROUND} where there is a {HOMEBODY}", f"{config.own_ground:g}"),
        (f"rate of {OWN_GROUND} where there is none", f"{config.own_ground_others:g}"),
        ("rate of a body without a part (no class)", f"{config.siblings:g}"),
        ("rate of clutter; of a second piece", f"{config.clutter:g}; {config.clutter / 2:g}"),
        ("lean of an object", f"up to {config.tilt:g} degrees either way"),
        ("least visible share of an object; of its part", f"{config.min_visible:g}; {config.min_part_visible:g}"),
        ("lens blur, standard deviation", f"{span(config.blur)} pixels"),
        ("sensor noise, standard deviation", f"{span(config.sensor_noise)} of 255"),
        ("border of value 255 around an object", "1 pixel outside its contour"),
        ("JPEG quality", f"{config.jpeg_quality}"),
    ]
