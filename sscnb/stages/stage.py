"""A stage's folder: whether it is done with these settings, and its results, written last."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sscnb.errors import UserError
from sscnb.files import read_json, write_json
from sscnb.settings import settings_hash
from sscnb.stages.provenance import provenance

Result = dict[str, Any]  # what a stage wrote into results.json: `rows`, and fields of its own


@dataclass
class Stage:
    """One stage's folder: knows whether it is done with these settings and writes its results last."""

    folder: Path
    name: str
    settings: Any
    preset: str
    labels: dict[str, Any] = field(default_factory=dict)
    _began: float = 0.0

    @property
    def hash(self) -> str:
        """The configuration hash, twelve digits that change when any setting of the stage does."""
        return settings_hash(self.settings)

    def done(self) -> bool:
        """Tell whether the results are there.

        Raises:
            UserError: the folder holds another configuration's output, whole or half; nothing is overwritten.
        """
        path = self.folder / "settings.json"
        if path.is_file():
            found = read_json(path)
            if found["hash"] != self.hash:
                raise UserError(
                    f"{self.folder} was made with other settings ({difference(found['settings'], self.settings)}). "
                    "Choose another run folder, or delete this one to make it again."
                )
        return (self.folder / "results.json").is_file()

    def begin(self) -> None:
        """Mark the folder as belonging to these settings; call before the first output."""
        self._began = time.monotonic()
        write_json(self.folder / "settings.json", {"stage": self.name, "hash": self.hash, "settings": self.settings})

    def finish(self, values: dict[str, float], device: str = "cpu", **extra: Any) -> dict[str, Any]:
        """Write the measured values as result rows (with `extra` beside them) and return the file's content."""
        origin = provenance() | {
            "device": device,
            "seconds": round(time.monotonic() - self._began, 2),
            "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        labels = {"stage": self.name, "preset": self.preset, "config": self.hash, **self.labels}
        # NaN stands for "does not apply", such as the IoU of a class that no image shows; JSON writes it as null.
        rows = [{"metric": k, "value": None if v != v else float(v), **labels, **origin} for k, v in values.items()]
        result = {"rows": rows, **extra}
        write_json(self.folder / "results.json", result)
        return result

    def load(self) -> dict[str, Any]:
        """Return what `finish` wrote."""
        return read_json(self.folder / "results.json")


def difference(old: Any, new: Any, name: str = "") -> str:
    """Name the first setting that differs between two nested dicts."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if old.get(key) != new.get(key):
                return difference(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    return f"{name} {old!r} there, {new!r} here"
