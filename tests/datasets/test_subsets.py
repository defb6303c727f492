"""Named parts: the lists are what they are said to be, and a part of a whole is a data set."""

import pytest
from conftest import make_photographs

from sscnb.datasets import subsets
from sscnb.datasets.folder import open_dataset
from sscnb.errors import UserError


def test_the_lists_of_voc_animals():
    splits = subsets.subset_splits("voc_animals")
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 398, "train_aug": 1000, "val": 211}
    assert all(len(set(ids)) == len(ids) for ids in splits.values())
    assert set(splits["train"]) < set(splits["train_aug"]) and not set(splits["val"]) & set(splits["train_aug"])


@pytest.fixture
def part(tmp_path, monkeypatch):
    (tmp_path / "lists/two").mkdir(parents=True)
    (tmp_path / "lists/two/train.txt").write_text("003\n001\n")
    (tmp_path / "lists/two/val.txt").write_text("004\n")
    monkeypatch.setattr(subsets, "_LISTS", tmp_path / "lists")
    return "two"


def test_a_part_of_a_whole_is_a_data_set(tmp_path, part):
    whole = make_photographs(tmp_path / "whole")
    (tmp_path / "run").mkdir()
    for _ in range(2):  # it may be made again
        subsets.link_subset(whole, tmp_path / "run/dataset", part)
    dataset, before = open_dataset(tmp_path / "run/dataset"), open_dataset(whole)
    assert dataset.splits == ["train", "val"] and dataset.ids("train") == ["003", "001"]
    assert dataset.classes == before.classes and dataset.class_names("003") == before.class_names("003")
    assert (dataset.mask("001") == before.mask("001")).all()
    assert open_dataset(whole).ids("train") == before.ids("train")  # the whole keeps its lists


def test_photographs_that_lack_are_named_and_nothing_is_made(tmp_path, part):
    whole = make_photographs(tmp_path / "whole")
    (whole / "JPEGImages/003.jpg").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of the 3 photographs of 'two', such as 003\.jpg"):
        subsets.link_subset(whole, tmp_path / "dataset", part)
    assert not (tmp_path / "dataset").exists()
    with pytest.raises(UserError, match="there is no part 'twoo' of a data set; did you mean 'two'"):
        subsets.link_subset(whole, tmp_path / "dataset", "twoo")
