"""Files are whole or not there, whatever happens while they are written."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from sscnb.errors import UserError, nearest, system_errors
from sscnb.files import read_json, replacing, user_path, write_json


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Have the kernel refuse what is written beyond a file's size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a/b/c.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists() and temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_writers_that_look_at_the_suffix(tmp_path):
    with replacing(tmp_path / "maps.npz") as temporary:
        np.savez_compressed(temporary, a=np.arange(3))
    assert np.load(tmp_path / "maps.npz")["a"].tolist() == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("below", ["", "results.json", "a/b/results.json"])
def test_a_file_where_a_folder_is_wanted(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / below / "run.json"
    with pytest.raises(UserError, match="cannot write") as caught:
        write_json(path, {})
    assert str(path) in str(caught.value) and (tmp_path / "file").read_text() == "mine"


def test_a_folder_where_a_file_is_wanted(tmp_path):
    (tmp_path / "run.json").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_json(tmp_path / "run.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_read_only_or_full_disk(tmp_path, monkeypatch, number):
    write_json(tmp_path / "a.json", 1)

    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError) as caught:
        write_json(tmp_path / "a.json", 2)
    assert str(tmp_path / "a.json") in str(caught.value) and os.strerror(number) in str(caught.value)
    monkeypatch.undo()
    assert read_json(tmp_path / "a.json") == 1 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot write"):
            write_json(tmp_path / "a.json", 1)
    finally:
        tmp_path.chmod(0o700)


def test_other_errors_of_the_block_are_its_own(tmp_path):
    with pytest.raises(FileNotFoundError):
        with replacing(tmp_path / "a.txt"):
            (tmp_path / "missing").read_text()


def test_json_there_and_back(tmp_path):
    value = {"a": [1, 2.5, None, True], "ä": "ü"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text()) == value


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_json_that_is_missing_or_damaged(tmp_path, content):
    with pytest.raises(UserError, match="is missing"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="not readable as JSON") as caught:
        read_json(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)


# --- full disks, long names, other shapes, other errors --------------------------------------------------------------


def save_tensor(path):
    with path.open("wb") as file:
        torch.save(torch.zeros(100_000), file)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(200_000)),
        lambda path: np.savez(path, a=np.zeros(100_000)),
        lambda path: Image.effect_noise((600, 600), 99).save(path, "PNG"),
        save_tensor,
    ],
    ids=["bytes", "numpy", "pillow", "torch"],
)
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(tmp_path, write):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    with files_no_larger_than(50_000):
        with pytest.raises(UserError) as caught:
            with replacing(path) as temporary:
                write(temporary)
    assert f"cannot write {path}: File too large" in str(caught.value)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:  # there is room again
        write(temporary)
    assert path.stat().st_size > 50_000 and list(tmp_path.iterdir()) == [path]


def test_the_longest_names(tmp_path):
    write_json(tmp_path / ("x" * 250 + ".json"), 1)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match="File name too long. Choose a shorter name"):
        write_json(tmp_path / ("x" * 251 + ".json"), 1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["/proc/x/run.json", "/dev/null/run.json"])
def test_places_where_nothing_can_be_made(place):
    with pytest.raises(UserError, match=f"cannot write {place}: "):
        write_json(place, 1)


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UserError, match="circle"):
        read_json(tmp_path / "a")
    with pytest.raises(UserError, match="cannot write"):
        write_json(tmp_path / "a/run.json", 1)


def test_a_folder_is_no_json(tmp_path):
    with pytest.raises(UserError, match=f"cannot read {tmp_path}: Is a directory"):
        read_json(tmp_path)


RESULTS = {"rows": list, "settings": {"seed": int | None}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "it has no key 'rows'; expected: rows, settings"),
        ("[]", "it holds []; expected: object"),
        ("null", "it holds None; expected: object"),
        ("7", "it holds 7; expected: object"),
        ('{"rows": {}, "settings": {}}', "key 'rows' holds {}; expected: list"),
        ('{"rows": [], "settings": []}', "key 'settings' holds []; expected: object"),
        ('{"rows": [], "settings": {}}', "key 'settings' has no key 'seed'"),
        ('{"rows": [], "settings": {"seed": "1"}}', "key 'seed' holds '1'; expected: int | None"),
        ('{"rows": "%s", "settings": {}}' % ("x" * 900), "expected: list"),
    ],
)
def test_json_of_another_shape(tmp_path, text, expected):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_json(tmp_path / "a.json", RESULTS)
    said = str(caught.value)
    assert f"{tmp_path / 'a.json'} is JSON of another kind" in said and expected in said and len(said) < 300


def test_json_of_the_expected_shape(tmp_path):
    for value in (
        {"rows": [], "settings": {"seed": None}},
        {"rows": [1], "settings": {"seed": 3, "more": 1}, "more": 2},
    ):
        write_json(tmp_path / "a.json", value)
        assert read_json(tmp_path / "a.json", RESULTS) == read_json(tmp_path / "a.json", dict) == value


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[" * 100_000])
def test_json_that_python_alone_would_take(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match="not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_home_folders(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(user_path("~/run")) == "/home/me/run" and str(user_path("a/~b")) == "a/~b"
    with pytest.raises(UserError, match="~nobody-here/run: the home folder is not known"):
        user_path("~nobody-here/run")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "permissions"),
        (errno.ENOSPC, "Make room"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ELOOP, "circle"),
        (errno.ENOTDIR, "A file stands where a folder is wanted"),
        (errno.EROFS, "can be written to"),
        (errno.ENOTEMPTY, "already"),
        (errno.EBUSY, "give the same command again"),
    ],
)
def test_what_the_system_refuses_is_named_with_its_cure(number, cure):
    with pytest.raises(UserError) as caught:
        with system_errors():
            raise OSError(number, os.strerror(number), "a.txt")
    assert str(caught.value).startswith(f"a.txt: {os.strerror(number)}. ") and cure in str(caught.value)


def test_the_boundary_decorates_and_lets_others_pass(tmp_path):
    @system_errors()
    def read(path):
        return path.read_text()

    for _ in range(2):
        with pytest.raises(UserError, match=f"{tmp_path}/a.txt: No such file or directory. Check how"):
            read(tmp_path / "a.txt")
    for error in (
        UserError("mine"),
        ValueError("a bug"),
        OSError("a library's"),
        BrokenPipeError(errno.EPIPE, "closed"),
    ):
        with pytest.raises(type(error)) as caught:
            with system_errors():
                raise error
        assert caught.value is error
    with pytest.raises(UserError, match="out of memory"):
        with system_errors():
            np.zeros(2**60, np.uint8)


def test_nearest_offers_close_names_or_all():
    assert nearest("tinny", ["tiny", "small", "voc"]) == "did you mean 'tiny'?"
    assert nearest("zzz", ["tiny", "small"]) == "valid are 'tiny', 'small'."


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="is no file. Delete it"):
        read_json(tmp_path / "a.json")
