"""Where a number comes from: commit, library versions and machine."""

import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sscnb.errors import UserError
from sscnb.files import read_json, write_json
from sscnb.settings import settings_hash


def project_root() -> Path:
    """Return the checkout that the package runs from, or the current folder when it is installed elsewhere."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "Snakefile").is_file() else Path.cwd()


@cache
def provenance() -> dict[str, Any]:
    """Return commit, library versions and machine: the part of a result row that is the same for a whole process."""
    versions = {name: metadata.version(name) for name in ("torch", "torchvision", "timm", "numpy", "scikit-image")}
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": versions,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=project_root(), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def stamp_code(folder: Path) -> Path:
    """Write a hash of the package's source into `code.json` of a folder, if it is not what is there.

    The DAG takes the file as an input of the notebooks, so that they are executed again after a change in the package,
    and where it is not known any more with which one they were.
    """
    source = Path(__file__).parents[1]
    files = {str(p.relative_to(source)): p.read_text(encoding="utf-8") for p in sorted(source.rglob("*.py"))}
    code, path = settings_hash(files), folder / "code.json"
    with suppress(UserError):  # missing or damaged
        if read_json(path) == code:
            return path
    write_json(path, code)
    return path
