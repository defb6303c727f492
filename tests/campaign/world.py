"""The ground of the campaign: finished tiny runs, kept apart, and one place in which each case finds copies of them."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.calls import Answer, call
from conftest import make_photographs

from sscnb.commands.cli import STAGES
from sscnb.stages import project_root

SMALL: dict[str, Any] = {
    "variants": ["ssc"],
    "cam.epochs": 1,
    "cam.crop": 48,
    "cam.resize": [44, 60],
    "cam.batch_size": 3,
    "irn.crop": 48,
    "irn.crf": "none",
    "irn.batch_size": 3,
    "irn.epochs": 1,
    "segmentation.crop": 48,
    "segmentation.batch_size": 3,
    "segmentation.epochs": 1,
    "superpixels.workers": 1,
    "pseudo.workers": 1,
}
SCENES = SMALL | {"data.scenes.size": 48, "data.scenes.train": 6, "data.scenes.val": 2}
PHOTOGRAPHS = SMALL | {
    "inference.scales": [1.0],
    "inference.long_side": 0,
    "irn.long_side": 0,
    "segmentation.long_side": 0,
    "cam.batch_size": 2,
    "irn.batch_size": 2,
    "segmentation.batch_size": 2,
}
# Three epochs: SSC's first is DRS's, its second that of DRS and reconstruction.
BEGUN = SCENES | {"cam.epochs": 3, "reconstruction.warmup_epochs": 1, "modulation.warmup_epochs": 2}
# Times and what is remembered of files' times differ from one whole run to the next.
_NOT_COMPARED = ("train_seconds",)


def scenes_words(run: Path, *stages: str, overrides: dict[str, Any] | None = None) -> list[str]:
    """The command that takes a run of generated scenes through stages, all of them by default."""
    words = ["run", *(stages or STAGES), "--preset", "tiny", "--run-dir", str(run), "--variant", "ssc"]
    return [*words, "--overrides", json.dumps(SCENES | (overrides or {}))]


def photographs_words(run: Path, root: Path, *stages: str, overrides: dict[str, Any] | None = None) -> list[str]:
    """The same of a run of photographs."""
    words = ["run", *(stages or STAGES), "--preset", "folder", "--run-dir", str(run), "--data-root", str(root)]
    return [*words, "--variant", "ssc", "--overrides", json.dumps(PHOTOGRAPHS | (overrides or {}))]


def begun_words(run: Path, variant: str, overrides: dict[str, Any] | None = None) -> list[str]:
    """The command that takes a variant of a run to seeds, and begins with what another has learned."""
    words = ["run", "data", "superpixels", "cam", "cams", "seeds", "--preset", "tiny", "--run-dir", str(run)]
    return [*words, "--variant", variant, "--overrides", json.dumps(BEGUN | (overrides or {}))]


def reproduce_words(run: Path) -> list[str]:
    """The command that goes on with a run as it was, and takes what is there for new: notebooks take a minute."""
    return ["reproduce", "--run-dir", str(run), "--cores", "1", "--gpus", "0", "--touch"]


def named() -> list[str]:
    """What names the settings of that run."""
    return ["--preset", "tiny", "--overrides", json.dumps(SCENES)]


def values(run: Path) -> dict[str, Any]:
    """Return every value that a run has measured, and a digest of every map and mask that it wrote."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.name == "results.json":
            for row in json.loads(path.read_text())["rows"]:
                if row["metric"] not in _NOT_COMPARED:
                    found[f"{name}: {row['metric']}"] = row["value"]
        elif path.suffix in (".png", ".npz") and path.is_file() and not path.name.startswith("."):
            found[name] = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return found


def state(folder: Path) -> dict[str, tuple]:
    """Return what tells whether a file has been touched, for every file below a folder, by its name there."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            status = path.lstat()
            found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


@dataclass
class World:
    """Makes what the cases need, once.

    The place has one path for all cases, so that absolute paths in a run folder hold in its copies.

    Attributes:
        expected: `values` of each finished run.
    """

    base: Path
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Where the case at hand finds its copies."""
        return self.base / "place"

    @property
    def store(self) -> Path:
        """Where the originals are."""
        return self.base / "store"

    def call(self, words: Sequence[str], **limits: Any) -> Answer:
        """Call a command."""
        return call(words, **limits)

    def make(self) -> "World":
        """Make photographs and the finished runs, and remember their values."""
        self.place.mkdir(parents=True, exist_ok=True)
        root = make_photographs(self.place / "photographs")
        run, whole, begun = (self.place / name for name in ("run", "whole", "begun"))
        self._finish("run", scenes_words(run))
        (run / "reproduce.json").write_text(json.dumps({"overrides": SCENES}))
        self._finish("own", photographs_words(self.place / "own", root))
        # SSC first, so that it learns all by itself.
        self._finish("begun", *(begun_words(begun, variant) for variant in ("ssc", "drs", "drs+cdr")))
        shutil.copytree(run, whole, ignore=shutil.ignore_patterns("reproduce.json"))
        (whole / "notebooks").mkdir()
        for notebook in (project_root() / "notebooks").glob("*.ipynb"):
            (whole / "notebooks" / notebook.name).write_text("executed")
        truth = scenes_words(whole, *STAGES[STAGES.index("segmentation") :])
        self._finish("whole", [*truth, "--source", "truth"], [*reproduce_words(whole), *named()])
        (self.place / "canary.txt").write_text("not yours")
        os.replace(self.place, self.store)
        return self

    def _finish(self, name: str, *commands: Sequence[str]) -> None:
        for words in commands:
            answer = self.call(words)
            assert answer.code == 0, answer.err[-3000:]
        self.expected[name] = values(self.place / name)

    def fresh(self, names: Sequence[str]) -> Path:
        """Return the place with copies of the originals of these names, and a file that is nobody's business."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        for name in ("canary.txt", *names):
            source, target = self.store / name, self.place / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target)
        return self.place

    def restore(self, name: str) -> None:
        """Put a file or folder of the place back as it was."""
        source, target = self.store / name, self.place / name
        remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists() or source.is_symlink():
            shutil.copy2(source, target, follow_symlinks=False)


def remove(path: Path) -> None:
    """Delete a file, link, pipe or folder, as a user would; what is not there is no fault."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
