"""No room: a limit on the size of files, and a disk that is full, at every stage; what is finished stays."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from campaign.damaged_files import CAM, IRN, NET
from campaign.judge import Case
from campaign.world import remove, scenes_words

_GONE = ("dataset", "superpixels", CAM, f"{CAM}/cams", f"{CAM}/seeds", f"{IRN}/ir_labels", f"{IRN}/checkpoint.pt")
_GONE += (f"{IRN}/pseudo_masks", NET, f"{NET}/predictions", f"{NET}/evaluation", "data")
_LIMITS = (16, 900, 20_000, 1_000_000)  # bytes


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


def small_disk(folder: Path, kib: int) -> bool:
    """Mount a tmpfs of so many KiB where that is allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True).returncode == 0
