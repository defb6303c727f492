"""The ladder of variants that the paper's ablations compare, as data (Tables VII and VIII).

A variant's name may carry changes of settings behind an @, such as `ssc@modulation.beta=0.5`: the sweeps of Fig. 7.
"""

import json
from dataclasses import dataclass, replace

from sscnb.datasets import Dataset
from sscnb.errors import UserError, nearest
from sscnb.settings.config import override
from sscnb.settings.schema import Config


@dataclass(frozen=True)
class Variant:
    """Which parts of the method are on."""

    title: str
    suppression: bool = True  # DRS, Eq. 3
    reconstruction: str = ""  # "": none; "cam": from the CAM features (CDR); "early": from early features
    loss: str = "perceptual"  # or "l1", "l2" (Table VIII)
    modulation: bool = False  # ASM, Eq. 7 to 9
    select: bool = True  # RAS, Eq. 9


VARIANTS: dict[str, Variant] = {
    "baseline": Variant("baseline", suppression=False),
    "drs": Variant("+ DRS"),
    "drs+cdr_early": Variant("+ DRS + CDR early", reconstruction="early"),
    "drs+cdr": Variant("+ DRS + CDR", reconstruction="cam"),
    "drs+cdr+asm_no_ras": Variant("+ DRS + CDR + ASM w/o RAS", reconstruction="cam", modulation=True, select=False),
    "ssc": Variant("+ DRS + CDR + ASM (SSC)", reconstruction="cam", modulation=True),
    "cdr_l1": Variant("+ DRS + CDR, L1 loss", reconstruction="cam", loss="l1"),
    "cdr_l2": Variant("+ DRS + CDR, L2 loss", reconstruction="cam", loss="l2"),
}
_CHANGEABLE = ("cam.", "reconstruction.", "modulation.", "inference.")  # a variant's own; data are the whole run's
LADDER = ("baseline", "drs", "drs+cdr_early", "drs+cdr", "drs+cdr+asm_no_ras", "ssc")


def find_variant(name: str, config: Config) -> tuple[Variant, Config]:
    """Return a variant and the configuration with the changes its name carries.

    Raises:
        UserError: no such variant or setting.
    """
    base, at, changes = name.partition("@")
    if base not in VARIANTS:
        raise UserError(f"there is no variant {base!r}; {nearest(base, list(VARIANTS))}")
    overrides = {}
    for change in changes.split(",") if at else ():
        key, _, value = change.partition("=")
        if not key.startswith(_CHANGEABLE):
            raise UserError(f"variant {name!r}: behind the @ stand settings of {', '.join(_CHANGEABLE)}, not {key!r}.")
        try:
            overrides[key] = json.loads(value)
        except ValueError as error:
            raise UserError(f"variant {name!r}: expected setting=value behind the @, not {change!r}.") from error
    return VARIANTS[base], override(config, overrides)


def trunks(name: str, config: Config) -> list[tuple[str, int]]:
    """Return the variants whose training a variant's own begins with, and for how many epochs: the longest first.

    A term that sets in after k epochs leaves the first k to the variant that lacks it, number by number: SSC's are
    those of `drs+cdr` until alignment sets in, and `drs`'s until the decoder does.

    Raises:
        UserError: no such variant or setting.
    """
    parts, own = find_variant(name, config)
    changes = name.partition("@")[2]
    begins = {"reconstruction": own.reconstruction.warmup_epochs, "modulation": own.modulation.warmup_epochs}
    found = []
    for without in (("modulation",), ("reconstruction", "modulation")):
        removed = [term for term in without if getattr(parts, term)]
        shared = min([own.cam.epochs, *(begins[term] for term in removed)]) if removed else 0
        less = _essence(replace(parts, **{term: type(getattr(parts, term))() for term in removed}))
        base = next((other for other, theirs in VARIANTS.items() if _essence(theirs) == less), "")
        if not (shared and base):
            continue
        read = [f"{part}." for part in ("cam", *begins) if part == "cam" or getattr(VARIANTS[base], part)]
        kept = ",".join(change for change in changes.split(",") if change.startswith(tuple(read)))
        found.append((f"{base}@{kept}" if kept else base, shared))
    return sorted(dict(found).items(), key=lambda pair: -pair[1])


def trunk_ends(config: Config) -> list[int]:
    """Return after how many epochs one variant's training may go on as another's."""
    return sorted({shared for name in VARIANTS for _, shared in trunks(name, config)})


def long_trunk(name: str, config: Config) -> tuple[str, int] | None:
    """Return the variant of the run that it is worth waiting for, to begin with what it has learned, and the epochs.

    That is where they are half of all or more.
    """
    long = [(base, shared) for base, shared in trunks(name, config) if 2 * shared >= config.cam.epochs]
    return next((pair for pair in long if pair[0] in config.variants), None)


def _essence(parts: Variant) -> Variant:
    """Return a variant without what has no effect: a loss without a decoder, a selection without modulation."""
    loss = parts.loss if parts.reconstruction else ""
    return replace(parts, title="", loss=loss, select=parts.select and parts.modulation)


def refined_variants(config: Config) -> list[str]:
    """Return the variants that go on to pseudo-masks: those of `refined` that the run has, else its first."""
    return [variant for variant in config.variants if variant in config.refined] or [config.variants[0]]


def segmentation_sources(config: Config, dataset: Dataset | None) -> list[str]:
    """Return what segmentation networks learn from: the refined variants, and "truth" where there are true masks.

    Args:
        dataset: the run's; None where it is not made yet, which is so for the embedded scenes alone. They have masks.
    """
    train = config.data.train_split
    masks = dataset is None or any(dataset.mask_path(i).is_file() for i in dataset.ids(train))
    return [*refined_variants(config), *(["truth"] if masks else [])]


def predicted_splits(config: Config, dataset: Dataset | None) -> list[str]:
    """Return the splits that segmentation networks predict: the one kept back, and the one whose seeds are measured.

    Where no split is kept back, the training split stands in for it. The second is left out where it is the same, and
    where `segmentation.on_train` says so.

    Args:
        dataset: as of `segmentation_sources`.
    """
    data = config.data
    kept_back = data.val_split if dataset is None or data.val_split in dataset.splits else data.train_split
    return list(dict.fromkeys((kept_back, data.seed_split)))[: 1 + config.segmentation.on_train]


# Fig. 7, one parameter at a time around the full method; r is the paper's, in pixels of a 256-pixel grid.
SWEEPS: dict[str, tuple[float, ...]] = {
    "beta_p": (0.1, 0.5, 1, 2, 5),
    "beta_a": (0.1, 0.5, 1, 2, 5),
    "r": (2, 4, 6, 8, 10, 12),
}


def sweep(parameter: str, config: Config) -> dict[float, str]:
    """Return the variant of each value of a sweep; r is scaled from the paper's crop of 512 to this one's.

    A value that the settings have anyway is "ssc" itself.

    Raises:
        UserError: there is no such sweep.
    """
    if parameter not in SWEEPS:
        raise UserError(f"there is no sweep over {parameter!r}; {nearest(parameter, list(SWEEPS))}")
    values: dict[float, float]
    if parameter == "r":
        setting, present = "modulation.erosion", config.modulation.erosion
        values = {r: max(1, round(r * config.cam.crop / 512)) for r in SWEEPS["r"]}
    else:
        part = {"beta_p": "reconstruction", "beta_a": "modulation"}[parameter]
        setting, present = f"{part}.beta", getattr(config, part).beta
        values = {value: value for value in SWEEPS[parameter]}
    return {asked: "ssc" if value == present else f"ssc@{setting}={value}" for asked, value in values.items()}
