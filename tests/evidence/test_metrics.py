"""Every metric has its title and unit, and readers see those instead of the rows' own keys."""

import json
from pathlib import Path

import pandas as pd
import pytest
from raw_keys import raw_keys

from sscnb.errors import UserError
from sscnb.evidence import METRICS, premise_table, reference_rows, titled, values_table
from sscnb.evidence.metrics import describe

ROOT = Path(__file__).resolve().parents[2]


def kept_metrics() -> set[str]:
    """The metrics of all rows that are kept with the book."""
    found = {row["metric"] for rows in reference_rows().values() for row in rows}
    for path in (ROOT / "book/results").glob("*.json"):
        found |= {row["metric"] for row in json.loads(path.read_text()).get("rows", [])}
    return found


def test_every_metric_that_is_kept_has_a_title():
    assert len(kept_metrics()) > 60
    assert all("_" not in describe(name).title.replace("L_p", "") for name in kept_metrics())


def test_no_two_metrics_of_the_same_masks_share_a_title():
    for part in {name.partition("/")[0] for name in METRICS if "/" in name}:
        titles = [metric.heading for name, metric in METRICS.items() if name.startswith(f"{part}/")]
        assert len(set(titles)) == len(titles), part


def test_classes_and_splits_have_the_title_of_the_whole():
    assert describe("seed/IoU/dog") == describe("pseudo/IoU/a/b") == ("IoU", "%", 1)
    assert describe("images/train").heading == "images"
    with pytest.raises(UserError, match="'seed/mIuO' has no title .* did you mean 'seed/mIoU'"):
        describe("seed/mIuO")


def test_shares_are_shown_in_percent_and_others_as_they_are():
    assert describe("seed/over").shown(0.25) == 25 and describe("peak memory").shown(1.5) == 1.5
    assert describe("peak memory").heading == "peak memory (GiB)" and describe("seed/best_threshold").unit == ""


def test_a_table_as_a_reader_sees_it():
    table = pd.DataFrame({"seeds": [1, 1], "seed/best_mIoU": [1, 2]}, index=["ssc@modulation.beta=2", "truth"])
    shown = titled(table)
    assert list(shown.columns) == ["random seeds", "mIoU, best threshold (%)"]
    assert list(shown.index) == ["+ DRS + CDR + ASM (SSC), modulation.beta=2", "true masks (upper bound)"]
    rows = [{"metric": "classifier/mAP", "value": 0.5}, {"metric": "images", "value": 24}]
    assert values_table({"drs": rows}).to_dict("index") == {"drs": {"mAP (%)": "50.0", "images": "24"}}
    assert not [name for name in titled(premise_table()[0]).columns if "/" in name or "_" in name]


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "book").glob("*.md")], ids=lambda path: path.name)
def test_no_page_shows_the_key_of_a_row(path):
    assert not raw_keys(path.read_text(encoding="utf-8"))


def test_keys_are_found():
    assert raw_keys("<th>seed/best_mIoU</th> runs/seed/over") == ["seed/best_mIoU"]
