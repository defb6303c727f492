"""No room: a limit on the size of files, and a disk that is full, at every stage; what is finished stays."""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from campaign.damaged_files import CAM, IRN, NET
from campaign.judge import Case, other_values
from campaign.world import World, remove, scenes_words

_GONE = ("dataset", "superpixels", CAM, f"{CAM}/cams", f"{CAM}/seeds", f"{IRN}/ir_labels", f"{IRN}/checkpoint.pt")
_GONE += (f"{IRN}/pseudo_masks", NET, f"{NET}/predictions", f"{NET}/evaluation", "data")
_LIMITS = (16, 300, 20_000, 1_000_000)  # bytes


def _limited(gone: str, place: Path) -> list[str]:
    remove(place / "run" / gone)
    return scenes_words(place / "run")


def cases() -> Iterator[Case]:
    """Each stage made again under each limit; then without."""
    for gone in _GONE:
        for limit in _LIMITS:
            arrange = partial(_limited, gone)
            yield Case("no room", f"{gone}, {limit} bytes", arrange, "same", ("run",), ("run",), file_size=limit)


def sampled() -> Iterator[Case]:
    """A checkpoint and a folder of scenes."""
    return (case for case in cases() if case.name in (f"{CAM}, 20000 bytes", "dataset, 900 bytes"))


def trials(world: World) -> dict[str, Callable[[], str | None]]:
    """Return runs that begin on disks which are too small, and are given room then, by the disk's size."""
    return {f"a disk of {size} MB": partial(_on_disk, world, size) for size in (1, 8, 20, 40, 55)}


def _on_disk(world: World, megabytes: int) -> str | None:
    """Return what was wrong, or nothing; None where nothing may be mounted."""
    disk = world.fresh(()) / "disk"
    disk.mkdir()
    if not _mounted(disk, f"size={megabytes}m"):
        return None
    try:
        return _filled(world, disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _filled(world: World, disk: Path) -> str:
    words = scenes_words(disk / "run")
    answer = world.call(words)
    if answer.fault or answer.code != 2 or "ake room" not in answer.message:
        return f"exit {answer.code}: {answer.err[-1500:]}"
    _mounted(disk, "remount,size=300m")
    again = world.call(words)
    if again.code:
        return f"after {answer.message}: {again.err[-1500:]}"
    return other_values(world.expected["run"], disk / "run")


def _mounted(folder: Path, options: str) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
