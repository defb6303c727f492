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
        ([0.45, 0.47], [0.44, 0.44], "2 of 2", "+2.0 ± 1.4"),
        ([0.43, 0.41], [0.44, 0.44], "0 of 2", "-2.0 ± 1.4"),
        ([0.45, 0.41], [0.44, 0.44], "1 of 2", "-1.0 ± 2.8"),
        ([0.45], [0.44], "1 of 1", "+1.0"),
        ([0.444], [0.44], "no change", "+0.4"),
        ([0.4399], [0.44], "no change", "+0.0"),
    ],
)
def test_the_verdict_counts_the_runs(drs, baseline, expected, difference):
    found = verdict(rows("seed/mIoU", drs=drs, baseline=baseline), "DRS improves the seed")
    assert (found["verdict"], found["difference"]) == (expected, difference)


def test_a_metric_that_should_fall():
    found = verdict(rows("seed/under", drs=[0.2, 0.1], baseline=[0.3, 0.3]), "DRS activates more of the object")
    assert found["verdict"] == "2 of 2" and found["difference"].startswith("-15.0")


def test_both_rules_stand_side_by_side():
    measured = rows("seed/mIoU", drs=[0.42], baseline=[0.44]) + rows("seed/tuned_mIoU", drs=[0.46], baseline=[0.44])
    table = claims_table({"photographs": measured}).splitlines()
    assert table[0].endswith("| photographs, fixed | photographs, tuned |")
    assert "| DRS improves the seed | Table VII | mIoU | 0 of 1 (-2.0) | 1 of 1 (+2.0) |" in table


def test_selection_is_told_apart_from_modulation():
    measured = rows("seed/mIoU", ssc=[0.40], **{"drs+cdr": [0.41], "drs+cdr+asm_no_ras": [0.43]})
    assert verdict(measured, "modulation improves the seed")["difference"] == "+2.0"
    assert verdict(measured, "reliable selection improves modulation")["difference"] == "-3.0"


def test_seeds_are_paired_and_what_is_missing_is_not_run():
    measured = rows("seed/mIoU", drs=[0.45, 0.47, 0.40], baseline=[0.44, 0.44])
    assert verdict(measured, "DRS improves the seed")["difference"] == "+2.0 ± 1.4"
    assert verdict(measured, "the full method beats the baseline")["verdict"] == "not run"


def test_every_claim_compares_known_variants():
    assert {name for claim in CLAIMS for name in (claim.better, claim.other)} <= set(VARIANTS)


def test_the_table_has_a_line_for_each_claim():
    lines = claims_table({"scenes": rows("seed/mIoU", drs=[0.45], baseline=[0.44]), "others": []}).splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    assert "| DRS improves the seed | Table VII | mIoU | 1 of 1 (+1.0) | not run |" in lines
