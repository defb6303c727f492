"""A stage's folder: whether it is done with these settings, and its results, written last."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sscnb.errors import UserError
from sscnb.files import read_json, write_json
from sscnb.locks import Lock
from sscnb.ranks import is_main, wait_for_others
from sscnb.settings import settings_hash
from sscnb.stages.provenance import provenance

Result = dict[str, Any]  # what a stage wrote into results.json: `rows`, and fields of its own


class NotFinished(UserError):
    """A stage's output is not there, or not whole: it is for the stage to make it."""


class OtherSettings(UserError):
    """A folder holds the output of another configuration."""


@dataclass
class Stage:
    """One stage's folder: knows whether it is done with these settings and writes its results last.

    Where several processes were launched together, all of them go through a stage. They meet in `begin`, in `meet`
    where work was shared, and at the end: the main one calls `finish`, the others that or `wait`.

    Attributes:
        settings: what its output depends on. Another value of any is another configuration: it is refused.
        inputs: what it read that may change behind its back, such as the true masks of an evaluation, as digests.
            Where one has changed, the stage is not done.
        labels: go into each result row.
        on_begin: called before anything is written.
    """

    folder: Path
    name: str
    settings: Any
    preset: str
    labels: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    on_begin: Callable[["Stage"], None] | None = None
    _began: float = 0.0
    _lock: Lock | None = None

    @property
    def hash(self) -> str:
        """The configuration hash, twelve digits that change when any setting of the stage does."""
        return settings_hash(self.settings)

    def done(self) -> bool:
        """Tell whether the results are there, of these settings, with every file that the stage wrote.

        Raises:
            OtherSettings: the folder holds another configuration's output, whole or half; nothing is overwritten.
            UserError: it cannot be told what the output was made with.
        """
        results, path = self.folder / "results.json", self.folder / "settings.json"
        if not path.is_file():
            if results.is_file():
                raise UserError(
                    f"{self.folder} has results but no settings.json, so nobody can tell what they were made with. "
                    f"Delete {self.folder} to make them again."
                )
            return False
        try:
            found = read_json(path, {"hash": str, "settings": dict | list})
        except UserError as error:
            raise UserError(
                f"{str(error).partition(' Delete it')[0]} Delete {self.folder} to make it again."
            ) from error
        if found["hash"] != self.hash:
            raise OtherSettings(
                f"{self.folder} was made with other settings ({difference(found['settings'], self.settings)}). "
                "Choose another run folder, or delete this one to make it again."
            )
        if found.get("inputs", self.inputs) != self.inputs or not results.is_file():
            return False
        return not self.missing()

    def missing(self) -> list[str]:
        """Return the files that the stage had written when it finished and that are not there as it left them.

        One of another size is not, nor is a folder, a link to nothing or a pipe in a file's place.
        """
        listed: dict[Path, dict[str, int | None]] = {}
        for name, size in self.load().get("files", {}).items():
            path = self.folder / name
            listed.setdefault(path.parent, {})[path.name] = size
        gone = []
        for folder, sizes in listed.items():  # one look at a folder: it may hold thousands of files
            found = {entry.name: _size(entry) for entry in os.scandir(folder)} if folder.is_dir() else {}
            gone += [str(folder / name) for name, size in sorted(sizes.items()) if found.get(name, -1) != size]
        return gone

    def _clear(self) -> None:
        """Remove what an earlier end left and does not hold any more: results, and files that are not whole."""
        results = self.folder / "results.json"
        if not results.is_file():
            return
        for name in self.missing():
            path = Path(os.path.normpath(name))
            # A stage writes into its own folder and beside it, whatever its results say.
            if path.is_relative_to(self.folder.parent) and (path.is_file() or path.is_symlink() or path.is_fifo()):
                path.unlink()
        results.unlink()

    def begin(self) -> None:
        """Mark the folder as belonging to these settings; call before the first output.

        Raises:
            UserError: another process is at work in it.
        """
        if self.on_begin is not None:
            self.on_begin(self)
        self.meet()  # until all have asked whether it is done
        self._began = time.monotonic()
        if is_main():
            self._lock = Lock(self.folder).acquire()
            self._clear()
            record = {"stage": self.name, "hash": self.hash, "settings": self.settings, "inputs": self.inputs}
            write_json(self.folder / "settings.json", record)
        self.meet()

    def meet(self) -> None:
        """Wait for the other processes: what they wrote before they came here is there.

        Raises:
            UserError: one of them has ended, or hangs.
        """
        wait_for_others(f"in stage {self.name} ({self.folder})")

    def wait(self) -> Result:
        """Return what the main process finishes with, in the others."""
        self.meet()
        return self.load()

    def finish(
        self, values: Mapping[str, float], device: str = "cpu", files: Iterable[Path] = (), **extra: Any
    ) -> Result:
        """Write the measured values as result rows (with `extra` beside them) and return the file's content.

        Args:
            values: by metric; NaN says that it does not apply.
            files: what the stage wrote and is not done without.

        Raises:
            UserError: a value is infinite.
        """
        if not is_main():
            return self.wait()
        for metric, value in values.items():
            if value in (float("inf"), float("-inf")):
                raise UserError(f"{self.folder}: {metric} is infinite. Look at what it was measured on.")
        origin = provenance() | {
            "device": device,
            "seconds": round(time.monotonic() - self._began, 2),
            "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        labels = {"stage": self.name, "preset": self.preset, "config": self.hash, **self.labels}
        # NaN stands for "does not apply", such as the IoU of a class that no image shows; JSON writes it as null.
        rows = [{"metric": k, "value": None if v != v else float(v), **labels, **origin} for k, v in values.items()]
        sizes = {os.path.relpath(p, self.folder): None if p.is_dir() else p.stat().st_size for p in sorted(files)}
        result = {"rows": rows, "files": sizes, **extra}
        write_json(self.folder / "results.json", result)
        if self._lock is not None:
            self._lock.release()
        self.meet()
        return result

    def load(self) -> Result:
        """Return what `finish` wrote.

        Raises:
            UserError: it is damaged.
        """
        return read_results(self.folder)


def read_results(folder: Path) -> Result:
    """Return what a stage wrote into `results.json` of its folder.

    Raises:
        UserError: it is missing, or holds no results.
    """
    path = folder / "results.json"
    found = read_json(path, {"rows": list, "files": dict})
    if not all(isinstance(row, dict) and row.keys() >= {"metric", "value", "stage"} for row in found["rows"]):
        raise UserError(f"{path} has rows that are no results. Delete it, and run the stage again.")
    return found


def _size(entry: os.DirEntry) -> int | None:
    """Return a file's size, None for a folder, -1 for what is neither."""
    try:
        return entry.stat().st_size if entry.is_file() else None if entry.is_dir() else -1
    except OSError:  # links in a circle
        return -1


def difference(old: Any, new: Any, name: str = "") -> str:
    """Name the first setting that differs between two nested dicts."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if old.get(key) != new.get(key):
                return difference(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    return f"{name} {old!r} there, {new!r} here"
