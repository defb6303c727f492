"""Settings by name: load a preset, replace values, compare two sets of them."""

import dataclasses
import hashlib
import json
import math
from dataclasses import replace
from typing import Any, get_args, get_origin

from sscnb.errors import UserError, nearest
from sscnb.settings.presets import PRESETS
from sscnb.settings.schema import Config


def load_config(preset: str, overrides: dict[str, Any] | None = None) -> Config:
    """Return a preset with some values replaced, such as `{"cam.epochs": 2}`.

    Raises:
        UserError: no such preset, no such key, or a value of another type than the setting's.
    """
    if preset not in PRESETS:
        raise UserError(f"there is no preset {preset!r}; {nearest(preset, list(PRESETS))}")
    if not isinstance(overrides or {}, dict):
        raise UserError(f'overrides must be a dict such as {{"cam.epochs": 2}}, not {overrides!r}.')
    return override(PRESETS[preset], overrides or {})


def override(config: Config, overrides: dict[str, Any]) -> Config:
    """Return a configuration with some values replaced.

    Raises:
        UserError: no such key, or a value of another type than the setting's or out of range.
    """
    for key, value in overrides.items():
        config = _override(config, key, key.split("."), value)
    _check(config)
    return config


def setting_names(settings: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all values in a settings object, in order."""
    names = []
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        names += setting_names(value, f"{prefix}{f.name}.") if dataclasses.is_dataclass(value) else [prefix + f.name]
    return names


def settings_dict(settings: Any) -> dict[str, Any]:
    """Return a settings object as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def settings_hash(values: Any) -> str:
    """Return twelve hexadecimal digits that tell two sets of JSON values apart."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _check(config: Config) -> None:
    cam, inference, segmentation = config.cam, config.inference, config.segmentation
    irn, pseudo = config.irn, config.pseudo
    stride = max(1, cam.output_stride)
    expected = {
        "data.source": (config.data.source in ("folder", "scenes"), "'folder' or 'scenes'"),
        "cam.epochs": (cam.epochs > 0, "above 0"),
        "cam.batch_size": (cam.batch_size > 0, "above 0"),
        # An image that is rebuilt from the last map has then the crop's size.
        "cam.crop": (cam.crop > 0 and cam.crop % stride == 0, f"above 0 and a multiple of {stride}, the output stride"),
        "cam.resize": (0 < cam.resize[0] <= cam.resize[1], "the smallest and the largest long side"),
        "inference.scales": (min(inference.scales, default=0) > 0, "one or more factors above 0"),
        "inference.batch_size": (inference.batch_size > 0, "above 0"),
        "irn.crf": (irn.crf in ("dense", "none"), "'dense' or 'none'"),
        "irn.foreground": (irn.foreground <= 1, "at most 1"),
        "irn.background": (0 <= irn.background <= irn.foreground, "from 0 to irn.foreground"),
        "irn.radius": (irn.radius > 1, "at least 2"),
        "irn.scale": (0 < irn.scale[0] <= irn.scale[1], "the smallest and largest factor"),
        "irn.crop": (irn.crop > 0, "above 0"),
        "irn.epochs": (irn.epochs > 0, "above 0"),
        "irn.batch_size": (irn.batch_size > 0, "above 0"),
        "pseudo.radius": (pseudo.radius > 1, "at least 2"),
        "pseudo.beta": (pseudo.beta > 0, "above 0"),
        "pseudo.steps": (pseudo.steps >= 0, "0 or more"),
        "pseudo.tol": (0 < pseudo.tol < 1, "between 0 and 1"),
        "pseudo.threshold": (0 <= pseudo.threshold <= 1, "from 0 to 1"),
        "pseudo.keep": (0 < pseudo.keep <= 1, "above 0 and at most 1"),
        "segmentation.method": (segmentation.method in ("single", "cotrain"), "'single' or 'cotrain'"),
        "segmentation.rates": (min(segmentation.rates, default=0) > 0, "one or more whole numbers above 0"),
        "segmentation.scale": (0 < segmentation.scale[0] <= segmentation.scale[1], "the smallest and largest factor"),
        "segmentation.crop": (segmentation.crop > 0, "above 0"),
        "segmentation.epochs": (segmentation.epochs > 0, "above 0"),
        "segmentation.batch_size": (segmentation.batch_size > 0, "above 0"),
        "segmentation.test_scales": (min(segmentation.test_scales, default=0) > 0, "one or more factors above 0"),
        "segmentation.crf": (segmentation.crf in ("dense", "none"), "'dense' or 'none'"),
        **{f"{part}.precision": precision for part, precision in _precisions(config).items()},
        "seeds": (min(config.seeds, default=-1) >= 0, "one or more whole numbers from 0 on"),
    }
    for key, (fits, wanted) in expected.items():
        if not fits:
            raise UserError(f"setting {key!r} must be {wanted}.")


def _precisions(config: Config) -> dict[str, tuple[bool, str]]:
    """Return, for each network, whether its precision is a known one, and which are."""
    known = ("no", "tf32", "bf16", "fp16")
    parts = {"cam": config.cam, "irn": config.irn, "segmentation": config.segmentation}
    return {name: (part.precision in known, "'no', 'tf32', 'bf16' or 'fp16'") for name, part in parts.items()}


def _override(settings: Any, key: str, path: list[str], value: Any) -> Any:
    valid = {f.name: f for f in dataclasses.fields(settings) if f.name != "preset"}
    known = path[0] in valid
    child = getattr(settings, path[0]) if known else None
    if not known or dataclasses.is_dataclass(child) != (len(path) > 1):
        prefix = key[: len(key) - len(".".join(path))]
        offered = [name for name in setting_names(settings, prefix) if name != "preset"]
        raise UserError(f"there is no setting {key!r}; {nearest(key, offered)}")
    if len(path) > 1:
        return replace(settings, **{path[0]: _override(child, key, path[1:], value)})
    return replace(settings, **{path[0]: _convert(key, value, valid[path[0]].type)})


def _convert(key: str, value: Any, wanted: Any) -> Any:
    """Return `value` as the setting's type: JSON knows no tuples, and 1 is a float there too."""
    if get_origin(wanted) is tuple and isinstance(value, list | tuple):
        items, inner = list(value), get_args(wanted)
        inner = [inner[0]] * len(items) if inner[-1] is Ellipsis else list(inner)
        if len(inner) == len(items):
            return tuple(_convert(key, v, t) for v, t in zip(items, inner, strict=True))
    elif wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:  # YAML, papermill's way to hand values over, reads 1e-5 as a text
            if math.isfinite(number := float(value)):
                return number
        except ValueError:
            pass
    elif isinstance(wanted, type) and type(value) is wanted:
        return value
    name = getattr(wanted, "__name__", str(wanted)) if get_origin(wanted) is None else str(wanted)
    raise UserError(f"setting {key!r} takes a value of type {name}, not {value!r}.")
