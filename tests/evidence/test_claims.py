"""The paper's claims against rows: the verdict follows the signs of paired differences."""

import pytest

from sscnb.evidence.claims import CLAIMS, check_claims, claims_table
from sscnb.settings.variants import VARIANTS


def rows(metric, **values):
    return [
        {"metric": metric, "variant": variant, "seed": seed, "value": value, "split": "train"}
        for variant, series in values.items()
        for seed, value in enumerate(series)
    ]


def verdict(measured, text):
    return check_claims(measured).set_index("claim").loc[text]


@pytest.mark.parametrize(
    ("drs", "baseline", "expected", "difference"),
    [
        ([0.45, 0.47], [0.44, 0.44], "holds", "+2.0 ± 1.4"),
        ([0.43, 0.41], [0.44, 0.44], "does not hold", "-2.0 ± 1.4"),
        ([0.45, 0.41], [0.44, 0.44], "in 1 of 2 seeds", "-1.0 ± 2.8"),
        ([0.45], [0.44], "holds, one seed", "+1.0"),
    ],
)
def test_all_seeds_must_agree(drs, baseline, expected, difference):
    found = verdict(rows("seed/mIoU", drs=drs, baseline=baseline), "DRS improves the seed")
    assert (found["verdict"], found["difference"]) == (expected, difference)


def test_a_metric_that_should_fall():
    found = verdict(rows("seed/under", drs=[0.2, 0.1], baseline=[0.3, 0.3]), "DRS activates more of the object")
    assert found["verdict"] == "holds" and found["difference"].startswith("-15.0")


def test_seeds_are_paired_and_what_is_missing_is_not_run():
    measured = rows("seed/mIoU", drs=[0.45, 0.47, 0.40], baseline=[0.44, 0.44])
    assert verdict(measured, "DRS improves the seed")["difference"] == "+2.0 ± 1.4"
    assert verdict(measured, "the full method beats the baseline")["verdict"] == "not run"


def test_every_claim_compares_known_variants():
    assert {name for claim in CLAIMS for name in (claim.better, claim.other)} <= set(VARIANTS)


def test_the_table_has_a_line_for_each_claim():
    lines = claims_table({"scenes": rows("seed/mIoU", drs=[0.45], baseline=[0.44]), "others": []}).splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    assert "| DRS improves the seed | Table VII | mIoU | holds, one seed (+1.0) | not run |" in lines
