"""What came out, in words: the numbers are those of the rows."""

from evidence.test_claims import rows

from sscnb.evidence.words import in_words


def described(metric, **values):
    return [row | {"preset": "tiny", "device": "cpu", "threshold": 0.2} for row in rows(metric, **values)]


def test_both_rules_are_told_with_the_papers_and_what_agrees():
    measured = described("seed/mIoU", ssc=[0.40, 0.42], baseline=[0.44, 0.44])
    measured += described("seed/tuned_mIoU", ssc=[0.46, 0.46], baseline=[0.44, 0.44])
    told = in_words({"photographs": measured})
    assert told.startswith("**Photographs** (preset `tiny`, split train, 2 random seeds")
    assert "from 44.0 ± 0.0 to 41.0 ± 1.4 at the fixed threshold, and from 44.0 ± 0.0 to 46.0 ± 0.0 at" in told
    assert "from 48.3 to 58.3" in told
    counts = "0 of 1 at the fixed threshold, and 1 of 1 at the threshold that is best on `val`"
    assert f"{counts} came out as printed, in every run." in told


def test_no_change_counts_as_tested_and_not_as_agreed():
    told = in_words({"scenes": described("seed/mIoU", ssc=[0.441, 0.442], baseline=[0.44, 0.44])})
    assert "0 of 1 at the fixed threshold came out as printed" in told and "best on" not in told


def test_a_ladder_that_is_not_finished_is_told_up_to_its_last_step():
    told = in_words({"photographs": described("seed/mIoU", drs=[0.42], baseline=[0.44])})
    assert "from baseline to + DRS the seed's mIoU goes from 44.0 to 42.0 at the fixed" in told
    assert "from 48.3 to 50.2" in told
