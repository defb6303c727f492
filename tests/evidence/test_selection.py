"""Which images are shown: the rule gives the images that the rule says."""

import pytest

from sscnb.evidence import selection


@pytest.mark.parametrize(
    ("length", "number", "start", "expected"),
    [(10, 5, 0, [0, 2, 4, 6, 8]), (10, 3, 1, [1, 4, 7]), (3, 5, 0, [0, 1, 2]), (3, 5, 1, [1, 2]), (9, 2, 8, [8])],
)
def test_ids_are_spread_evenly(length, number, start, expected):
    ids = [str(n) for n in range(length)]
    assert selection.spread(ids, number, start=start) == [str(n) for n in expected]


def test_images_are_ranked_from_the_lowest_up():
    assert selection.ranked({"c": 0.5, "b": 0.5, "a": 0.9, "d": 0.1, "e": None}) == ["d", "b", "c", "a"]
    assert selection.ranked({"a": None}) == []


def test_the_middle_image_of_a_ranking_or_the_first_one():
    assert selection.middle({"a": 0.9, "b": 0.1, "c": 0.5, "d": None}, ["x", "y"]) == ["c"]
    assert selection.middle({"a": 0.9, "b": 0.1}, ["x"]) == ["a"]
    assert selection.middle({"d": None}, ["x", "y"]) == selection.middle({}, ["x"]) == ["x"]
    assert selection.middle({}, []) == []


def test_gains_are_of_images_with_both_values():
    before = {"a": 0.25, "b": 0.5, "c": None, "d": 0.0}
    assert selection.gains(before, {"a": 0.75, "b": 0.25, "c": 1.0, "d": None, "e": 1.0}) == {"a": 0.5, "b": -0.25}
    assert selection.gains({"a": 0.5}, {"a": 0.0}) == {"a": -0.5}


def test_an_image_has_its_strongest_failure_alone():
    listed = [("x", "a", 0.9), ("x", "b", 0.8), ("x", "a", 0.7), ("x", "c", 0.3), ("x", "d", 0.2), ("y", "a", 0.95)]
    failures = [{"kind": kind, "id": image_id, "share": share} for kind, image_id, share in listed]
    found = selection.strongest_failures(failures, "x", 3)
    assert [(f["id"], f["share"]) for f in found] == [("a", 0.9), ("b", 0.8), ("c", 0.3)]
    assert selection.strongest_failures(failures, "y") == [failures[-1]]
    assert selection.strongest_failures(failures, "z") == []
