import numpy as np
import pytest

from sscnb.evidence import groups_by_share, object_share, size_table


def test_share_of_the_labelled_pixels():
    mask = np.zeros((10, 10), np.uint8)
    mask[:3] = 5
    mask[9] = 255
    assert object_share(mask) == pytest.approx(30 / 90)
    assert object_share(np.full((4, 4), 255, np.uint8)) == 0


def test_groups_go_from_small_to_large_and_hold_every_image_once():
    shares = {f"i{n}": n / 10 for n in (7, 1, 4, 9, 2, 0, 3)}
    groups = groups_by_share(shares, 3)
    assert groups == [["i0", "i1", "i2"], ["i3", "i4"], ["i7", "i9"]]


def test_a_step_is_compared_within_a_random_seed_and_a_group():
    def row(variant, seed, group, value):
        return {"variant": variant, "seed": seed, "group": group, "value": value, "share": 0.1 + group / 2}

    rows = [row("baseline", 0, 0, 0.4), row("baseline", 0, 1, 0.5), row("baseline", 1, 0, 0.6)]
    rows += [row("drs", 0, 0, 0.3), row("drs", 0, 1, 0.7), row("drs", 2, 0, 0.9)]  # no baseline of random seed 2
    table = size_table(rows, "baseline", "drs")
    assert table["seed"].tolist() == [0, 0] and table["share"].tolist() == pytest.approx([10, 60])
    assert table["change"].tolist() == pytest.approx([-10, 20])
    assert size_table(rows, "drs", "ssc").empty
