"""Files are whole or not there, whatever happens while they are written."""

import errno
import json
import os

import numpy as np
import pytest

from sscnb.errors import UserError, nearest
from sscnb.files import read_json, replacing, write_json


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


def test_nearest_offers_close_names_or_all():
    assert nearest("tinny", ["tiny", "small", "voc"]) == "did you mean 'tiny'?"
    assert nearest("zzz", ["tiny", "small"]) == "valid are 'tiny', 'small'."
