"""Locks that nobody holds, and what else may stand in their place, in folders that are to be worked in."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from campaign import damaged_files as damage
from campaign.judge import Case
from campaign.world import reproduce_words, scenes_words

FOLDERS = {"run/data": scenes_words, f"run/{damage.CAM}": scenes_words, "whole": reproduce_words}


def stale(path: Path) -> None:
    """As a killed process leaves it, with the number of another one that is alive."""
    path.write_text(f"process {os.getppid()} on another since 2026-01-01T00:00:00+00:00\n")


def long_name(path: Path) -> None:
    path.write_bytes(b"\xff" * 100_000)


def _arranged(name: str, change: damage.Damage, words: Callable[[Path], list[str]], place: Path) -> list[str]:
    folder = place / name
    (folder / "results.json").unlink(missing_ok=True)
    (folder / ".lock").write_text("x")
    change(folder / ".lock")
    return words(place / name.split("/")[0])


def _none_left(place: Path) -> str:
    return ", ".join(map(str, place.rglob(".lock")))


def cases() -> Iterator[Case]:
    """Each of them in a stage's folder that has work left, and in a run's."""
    for name, words in FOLDERS.items():
        for change in (stale, long_name, damage.empty, damage.folder, damage.loop, damage.dangling, damage.pipe):
            arrange, needs = partial(_arranged, name, change, words), (name.split("/")[0],)
            yield Case("lock", f"{name} {change.__name__}", arrange, "same", needs, needs, check=_none_left)


def sampled() -> Iterator[Case]:
    """One of either."""
    return (case for case in cases() if case.name in ("run/data folder", "whole stale"))
