"""Fingerprints: they follow the content, whatever the clock says, and read no file twice."""

import os
from pathlib import Path

from sscnb.datasets.fingerprint import digest_files, label_files, mask_files, remembered_digest
from sscnb.datasets.folder import open_dataset


def made(root: Path, **contents: str) -> list[Path]:
    root.mkdir(exist_ok=True)
    for name, text in contents.items():
        (root / name).write_text(text)
    return [root / name for name in contents]


def test_content_counts_and_time_does_not(tmp_path):
    paths = made(tmp_path / "a", x="one", y="two")
    digest, known = digest_files(tmp_path / "a", paths, {})
    assert len(digest) == 12 and set(known) == {"x", "y"}
    os.utime(paths[0], (1, 1))
    assert digest_files(tmp_path / "a", paths[::-1], known)[0] == digest
    assert digest_files(tmp_path / "b", made(tmp_path / "b", x="one", y="two"), {})[0] == digest  # it may move
    assert digest_files(tmp_path / "c", made(tmp_path / "c", x="one", y="tWo"), {})[0] != digest
    assert digest_files(tmp_path / "d", made(tmp_path / "d", x="one", z="two"), {})[0] != digest
    paths[1].unlink()
    assert digest_files(tmp_path / "a", paths, known)[0] != digest


def test_a_file_of_known_size_and_time_is_not_read(tmp_path):
    paths = made(tmp_path / "a", x="one")
    digest, known = digest_files(tmp_path / "a", paths, {})
    state = paths[0].stat()
    paths[0].write_text("two")
    os.utime(paths[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest_files(tmp_path / "a", paths, known)[0] == digest
    assert digest_files(tmp_path / "a", paths, {})[0] != digest


def test_changes_stay_changes_until_they_are_taken_over(tmp_path):
    paths, memory = made(tmp_path / "a", x="one", y="two"), tmp_path / "memory.json"
    first, changed = remembered_digest(tmp_path / "a", paths, memory, update=False)
    assert changed == []
    made(tmp_path / "a", y="other")
    for _ in range(2):
        digest, changed = remembered_digest(tmp_path / "a", paths, memory, update=False)
        assert digest != first and changed == ["y"]
    assert remembered_digest(tmp_path / "a", paths, memory)[1] == ["y"]
    assert remembered_digest(tmp_path / "a", paths, memory)[1] == []
    memory.write_text("[]")
    assert remembered_digest(tmp_path / "a", paths, memory) == (digest, [])


def test_what_training_reads_and_what_evaluation_reads(photographs):
    dataset = open_dataset(photographs)
    names = {path.relative_to(photographs).as_posix() for path in label_files(dataset, ["train"])}
    expected = {"labels.csv", "classes.txt", "ImageSets/Segmentation/train.txt"}
    assert names == expected | {f"JPEGImages/00{n}.jpg" for n in range(4)}
    assert [path.name for path in mask_files(dataset, "val")] == ["004.png", "005.png"]


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path):
    paths = made(tmp_path / "a", x="one")
    paths[0].unlink()
    gone = digest_files(tmp_path / "a", paths, {})
    os.mkfifo(paths[0])
    assert digest_files(tmp_path / "a", paths, {}) == gone


def test_a_memory_of_another_shape_counts_for_nothing(tmp_path):
    paths = made(tmp_path / "a", x="one")
    expected = digest_files(tmp_path / "a", paths, {})[0]
    for content in ("[]", '{"x": 3}', '{"x": []}', "null"):
        (tmp_path / "memory.json").write_text(content)
        assert remembered_digest(tmp_path / "a", paths, tmp_path / "memory.json") == (expected, [])
