"""Variants by name and the sweeps of Fig. 7."""

import pytest

from sscnb.errors import UserError
from sscnb.settings.config import load_config
from sscnb.settings.variants import LADDER, SWEEPS, VARIANTS, find_variant, sweep


def test_the_ladder_adds_one_part_at_a_time():
    parts = [VARIANTS[name] for name in LADDER]
    assert [p.suppression for p in parts] == [False] + 5 * [True]
    assert [p.reconstruction for p in parts] == ["", "", "early", "cam", "cam", "cam"]
    assert [(p.modulation, p.select) for p in parts[-3:]] == [(False, True), (True, False), (True, True)]


@pytest.mark.parametrize("parameter", SWEEPS)
def test_a_sweep_changes_its_own_setting_only(parameter):
    config = load_config("voc")
    setting = {"beta_p": "reconstruction.beta", "beta_a": "modulation.beta", "r": "modulation.erosion"}[parameter]
    part, name = setting.split(".")
    names = sweep(parameter, config)
    assert len(set(names.values())) == len(SWEEPS[parameter]) and list(names.values()).count("ssc") == 1
    for value, variant in names.items():
        assert getattr(getattr(find_variant(variant, config)[1], part), name) == value


def test_the_erosion_is_scaled_with_the_crop():
    names = sweep("r", load_config("small"))  # 176 of 512 pixels
    assert names[12] == "ssc@modulation.erosion=4"
    assert names[8] == names[10] == "ssc"  # both 3, which is the preset's


def test_an_unknown_sweep_names_the_valid_ones():
    with pytest.raises(UserError, match="beta_p"):
        sweep("beta", load_config("small"))


def test_nothing_behind_the_at_is_no_variant():
    with pytest.raises(UserError, match="behind the @ stand settings"):
        find_variant("ssc@", load_config("tiny"))
