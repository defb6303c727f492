"""What a data set's files hold, in a few digits: whether they are still those that a stage has read."""

import hashlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sscnb.datasets.folder import Dataset
from sscnb.files import read_json, write_json

Known = dict[str, list]  # path below the root -> size, time in ns, digest of the content


def digest_files(root: Path, paths: Iterable[Path], known: Mapping[str, Sequence]) -> tuple[str, Known]:
    """Return a digest over the names and contents of files, and what to hand in as `known` the next time.

    A file whose size and time are the known ones is not read again. One that is not there counts as such.

    Args:
        root: names are taken from here on, so that a data set may move.
        known: of an earlier call.
    """
    total, found = hashlib.sha256(), {}
    for path in sorted(set(paths)):
        name = path.relative_to(root).as_posix()
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
                raise FileNotFoundError
            entry = list(known.get(name, ()))
            if entry[:2] != [state.st_size, state.st_mtime_ns]:
                content = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
                entry = [state.st_size, state.st_mtime_ns, content]
        except FileNotFoundError:
            entry = [0, 0, "missing"]
        found[name] = entry
        total.update(f"{name}\0{entry[2]}\n".encode())
    return total.hexdigest()[:12], found


def label_files(dataset: Dataset, splits: Iterable[str]) -> list[Path]:
    """Return what training reads of a data set: lists, labels, class names and photographs of some splits."""
    root, ids = dataset.root, [i for split in splits for i in dataset.ids(split)]
    paths = [root / name for name in ("labels.csv", "classes.txt") if (root / name).is_file()]
    lists = [root / "ImageSets/Segmentation" / f"{split}.txt" for split in splits]
    paths += [path for path in lists if path.is_file()]
    if not (root / "labels.csv").is_file():
        paths += [root / "Annotations" / f"{i}.xml" for i in ids]
    return paths + [dataset.image_path(i) for i in ids]


def mask_files(dataset: Dataset, split: str) -> list[Path]:
    """Return where the true masks of a split are, or would be."""
    return [dataset.mask_path(i) for i in dataset.ids(split)]


def remembered_digest(root: Path, paths: Iterable[Path], memory: Path, *, update: bool = True) -> tuple[str, list[str]]:
    """Return `digest_files` with what is known kept in the JSON file `memory`, and the names that differ from there.

    Args:
        update: remember what is there now, changed or not; without it changes stay changes.
    """
    known = read_json(memory) if memory.is_file() else {}
    if not isinstance(known, dict) or not all(isinstance(e, list) and len(e) == 3 for e in known.values()):
        known = {}
    digest, found = digest_files(root, paths, known)
    contents = [{name: entry[2] for name, entry in part.items()} for part in (known, found)]
    different = {name for name, _ in contents[0].items() ^ contents[1].items()} if known else set()
    # What was there first: without labels.csv all annotations are looked for.
    changed = sorted(different, key=lambda name: (name not in known, name))
    if found != known and (update or not changed):
        write_json(memory, found)
    return digest, changed
