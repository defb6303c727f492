"""Settings by name: load a preset, replace values, compare two sets of them."""

import dataclasses
import hashlib
import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sscnb.errors import UserError, nearest
from sscnb.settings.presets import PRESETS
from sscnb.settings.schema import Config

_CONFIG = TypeAdapter(Config)


def load_config(preset: str, overrides: dict[str, Any] | None = None) -> Config:
    """Return a preset with some values replaced, such as `{"cam.epochs": 2}`.

    Raises:
        UserError: no such preset, no such key, or a value of another type than the setting's or out of its range.
    """
    if preset not in PRESETS:
        raise UserError(f"there is no preset {preset!r}; {nearest(str(preset), list(PRESETS))}")
    if overrides is not None and not isinstance(overrides, dict):
        raise UserError(f'overrides must be a dict such as {{"cam.epochs": 2}}, not {overrides!r}.')
    return override(PRESETS[preset], overrides or {})


def override(config: Config, overrides: dict[str, Any]) -> Config:
    """Return a configuration with some values replaced.

    Raises:
        UserError: no such key, or a value of another type than the setting's or out of its range.
    """
    if not overrides:
        return config
    values = settings_dict(config)
    names = [name for name in setting_names(config) if name != "preset"]
    for key, value in overrides.items():
        if key not in names:
            raise UserError(f"there is no setting {key!r}; {nearest(key, names)}")
        *path, last = key.split(".")
        part = values
        for name in path:
            part = part[name]
        part[last] = _number(value) if isinstance(part[last], float) and isinstance(value, str) else value
    try:
        return _CONFIG.validate_json(json.dumps(values))  # as JSON: it knows no tuples, and 1 is a float there too
    except ValidationError as error:
        faults = error.errors(include_url=False)
        # Of a list with a bad value, pydantic says too that it is too short without that value.
        bad = {fault["loc"][:-1] for fault in faults if isinstance(fault["loc"][-1], int)}
        said = [_said(fault) for fault in faults if fault["loc"] not in bad]
        raise UserError("\n".join(said)) from error
    except TypeError as error:
        raise UserError(f"overrides hold a value that is not JSON: {error}.") from error


def setting_names(settings: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all values in a settings object, in order."""
    names = []
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        names += setting_names(value, f"{prefix}{f.name}.") if dataclasses.is_dataclass(value) else [prefix + f.name]
    return names


def changed_settings(config: Config) -> dict[str, Any]:
    """Return the overrides that make these settings of their preset, but for variants, random seeds and workers."""
    values, own = settings_dict(config), settings_dict(PRESETS[config.preset])
    changed = {}
    for name in setting_names(config):
        if name in ("variants", "refined", "seeds") or name.endswith(".workers"):
            continue
        mine, theirs = values, own
        for part in name.split("."):
            mine, theirs = mine[part], theirs[part]
        if mine != theirs:
            changed[name] = mine
    return changed


def settings_dict(settings: Any) -> dict[str, Any]:
    """Return a settings object as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def settings_hash(values: Any) -> str:
    """Return twelve hexadecimal digits that tell two sets of JSON values apart."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _number(text: str) -> Any:
    """Return a text as a number where it is one: YAML, papermill's way to hand values over, reads 1e-5 as a text."""
    try:
        return float(text)
    except ValueError:
        return text


def _said(fault: Any) -> str:
    """Say what is wrong with a value, and what it should be."""
    place = ""
    for step in fault["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    said = (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "it should")
        .replace("Tuple should", "it should")
    )
    if isinstance(fault["input"], dict):  # of several settings together, which are named
        return f"setting {said}."
    return f"setting {place!r} is {fault['input']!r}; {said}."
