"""What VOC 2012 and COCO share on their way to a VOC-layout folder: links, lists, conversions, counts."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sscnb.errors import UserError
from sscnb.files import replacing
from sscnb.parallel import in_processes


def link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, relative to its own folder; one that leads to a file already is left as it is.

    Raises:
        UserError: links cannot be made there.
    """
    if path.exists():
        return
    with replacing(path) as temporary:
        try:
            temporary.symlink_to(os.path.relpath(target, path.parent))
        except (OSError, NotImplementedError) as error:
            raise UserError(
                f"cannot make a link at {path} ({error}). Choose a disk that has symbolic links."
            ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; one that holds this text already keeps its time stamp."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write ids or names, one a line."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_labels(path: Path, labels: Mapping[str, Sequence[str]]) -> None:
    """Write image-level labels as `labels.csv`: id, then class names joined by semicolons."""
    text = io.StringIO()
    rows = [("id", "classes"), *((image_id, ";".join(names)) for image_id, names in labels.items())]
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def convert(function: Callable[[Any], str], jobs: Sequence[Any], *, workers: int, title: str) -> None:
    """Run `function(job)`, which writes one file and returns what was wrong or nothing, over processes with a bar.

    Args:
        workers: processes; 0 is one a core.

    Raises:
        UserError: some jobs had a fault, naming up to five; all the others are done.
    """
    workers = min(workers or os.cpu_count() or 1, max(1, len(jobs)))
    results = in_processes(function, jobs, workers)
    bar = tqdm(results, total=len(jobs), desc=title, unit="img", mininterval=0.5, disable=not jobs)
    faults = sorted(fault for fault in bar if fault)
    if faults:
        listed = "\n".join(faults[:5]) + (f"\n... and {len(faults) - 5} more." if len(faults) > 5 else "")
        raise UserError(f"{title}: {len(faults)} of {len(jobs)} failed, the others are written.\n{listed}")


def check_count(what: str, found: int, expected: int, *, partial: bool) -> None:
    """Compare a count with the release's; of a partial copy the difference is printed.

    Raises:
        UserError: they differ and the copy is not said to be partial.
    """
    if found == expected:
        return
    text = f"{what}: {found:,} found, {expected:,} in the release"
    if not partial:
        raise UserError(f"{text}. Complete the folder, or give --partial if it is meant to be a part.")
    print(f"note: {text}; taken as it is.")


def check_files(what: str, paths: Iterable[Path], *, partial: bool) -> None:
    """Tell which files are not there; of a partial copy this is printed.

    Raises:
        UserError: some are missing and the copy is not said to be partial.
    """
    missing = [path for path in paths if not path.is_file()]
    if not missing:
        return
    text = f"{what}: {len(missing):,} missing, such as {missing[0]}"
    if not partial:
        raise UserError(f"{text}. Complete the folder, or give --partial if it is meant to be a part.")
    print(f"note: {text}.")
