"""What was measured stands at the end of each chapter, made of rows."""

from pathlib import Path

import pytest

from sscnb.errors import UserError
from sscnb.evidence import MEASURED, measured_in_words, reference_rows

ROOT = Path(__file__).resolve().parents[2]


def row(metric, value, variant="ssc", seed=0, **more):
    return {"metric": metric, "value": value, "variant": variant, "seed": seed, "split": "train", **more}


def test_a_sentence_has_the_values_of_each_set():
    rows = [row("seed/mIoU", 0.5, "baseline"), row("seed/mIoU", 0.25, "drs"), row("seed/over", 0.1, "drs")]
    said = measured_in_words("suppression", {"here": rows, "there": []})
    assert said.startswith("**Measured**, seeds") and said.endswith(": here, mIoU 50.0 → 25.0 %; there, not run.")


def test_random_seeds_are_means_and_kinds_of_masks_are_not_mixed():
    rows = [row("pseudo/seed_mIoU", 0.5, crf=crf) for crf in ("none", "dense")]
    rows += [row("pseudo/mIoU", value, crf=crf) for crf, value in (("none", 0.4), ("dense", 0.6))]
    assert "full method 50.0 → 60.0 %" in measured_in_words("irn", {"here": rows})
    rows = [row("seed/mIoU", value, "baseline", seed) for seed, value in enumerate((0.4, 0.6))]
    assert "mIoU 50.0 ± 14.1 %" in measured_in_words("cam", {"here": rows})


def test_counts_belong_to_no_variant():
    rows = [{"metric": "images/train", "value": 24}, {"metric": "images/val", "value": 8}]
    assert measured_in_words("data", {"here": rows}).endswith("here, read 24, kept back 8.")


def test_a_page_without_a_measurement():
    with pytest.raises(UserError, match="'iron'; did you mean 'irn'"):
        measured_in_words("iron", {})


@pytest.mark.parametrize("page", MEASURED)
def test_each_chapter_ends_with_what_was_measured(page):
    away = (ROOT / f"book/{page}.md").read_text(encoding="utf-8").split("## What to take away")[1]
    idea, _, rest = away.partition("```{include} generated/measured_")
    assert rest.startswith(f"{page}.md\n```") and idea.strip().count(". ") == 0
    assert measured_in_words(page, reference_rows()).count("not run") < len(reference_rows())
