"""From rows to tables: every number is that of its rows, and none is made up where there are none."""

import json
import math

import pytest

from sscnb.errors import UserError
from sscnb.evidence.report import (
    describe_rows,
    keep_rows,
    ladder_table,
    mean_and_deviation,
    reference_rows,
    replace_rows,
    write_report,
)
from sscnb.files import read_json
from sscnb.settings.variants import LADDER, VARIANTS
from sscnb.stages.run import open_run


def row(variant, seed, value, metric="seed/mIoU", split="train", **more):
    base = {"metric": metric, "value": value, "variant": variant, "seed": seed, "split": split}
    return base | {"stage": "seeds", "preset": "tiny", "device": "cpu", "threshold": 0.2} | more


def test_mean_and_deviation_by_hand():
    rows = [row("drs", seed, value) for seed, value in enumerate([0.40, 0.43, 0.49])]
    mean = (0.40 + 0.43 + 0.49) / 3
    deviation = math.sqrt(sum((v - mean) ** 2 for v in (0.40, 0.43, 0.49)) / 2)  # of a sample
    table = mean_and_deviation(rows, ["seed/mIoU"])
    assert table.loc["drs", "seed/mIoU"] == f"{100 * mean:.1f} ± {100 * deviation:.1f}" == "44.0 ± 4.6"
    assert table.loc["drs", "seeds"] == 3


def test_one_seed_has_no_deviation_and_missing_is_said():
    rows = [row("drs", 0, 0.4), row("drs", 0, 0.91234, "classifier/mAP"), row("baseline", 0, 0.3)]
    rows += [row("baseline", 0, None, "classifier/mAP"), row("ssc", 0, 3.14159, "train_loss")]
    table = mean_and_deviation(rows, ["seed/mIoU", "classifier/mAP", "train_loss"])
    assert table.loc["drs"].tolist() == [1, "40.0", "91.2", "not run"]
    assert table.loc["baseline"].tolist() == [1, "30.0", "not run", "not run"]
    assert table.loc["ssc"].tolist() == [1, "not run", "not run", "3.14"]


def test_rows_follow_the_ladder_and_columns_what_was_asked():
    names = ["ssc@modulation.beta=2.0", "ssc", "cdr_l1", "baseline", "drs"]
    table = mean_and_deviation([row(name, 0, 0.5, m) for name in names for m in ("seed/over", "seed/mIoU")],
                               ["seed/mIoU", "seed/over"])  # fmt: skip
    assert list(table.index) == ["baseline", "drs", "ssc", "ssc@modulation.beta=2.0", "cdr_l1"]
    assert list(table.columns) == ["seeds", "seed/mIoU", "seed/over"]


def test_splits_are_not_averaged_as_if_they_were_seeds():
    rows = [row("drs", 0, 0.4), row("drs", 0, 0.6, split="val")]
    with pytest.raises(UserError, match="drs has several values of seed/mIoU for one random seed .splits train, val"):
        mean_and_deviation(rows, ["seed/mIoU"])


def test_nothing_to_tabulate():
    for rows in ([], [row("drs", 0, None)], [row("drs", 0, 0.4, "seed/over")]):
        table = mean_and_deviation(rows, ["seed/mIoU"])
        assert table.empty and list(table.columns) == ["seeds", "seed/mIoU"] and table.index.name == "variant"


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_ladder_stands_beside_the_paper():
    ours = [row("baseline", seed, value) for seed, value in enumerate([0.30, 0.34])]
    ours += [row("baseline", seed, 0.9, split="val") for seed in range(2)]  # another split is not mixed in
    table = cells(ladder_table({"this run": ours, "other": [row("ssc", 0, 0.5)], "none": []}))
    assert table[0] == ["method", "paper: VOC 2012 train", "this run", "other", "none"]
    assert [line[0] for line in table[2:]] == [VARIANTS[name].title for name in LADDER]
    assert table[2] == ["baseline", "48.3", "32.0 ± 2.8", "not run", "not run"]  # the paper's Table VII
    assert table[-1] == ["+ DRS + CDR + ASM (SSC)", "58.3", "not run", "50.0", "not run"]


def test_what_rows_were_measured_with():
    text = describe_rows([row("drs", 0, 0.4), row("drs", 1, 0.5), row("drs", 0, 0.6, split="val")])
    assert "preset `tiny`" in text and "split train, 2 random seeds" in text and "cpu" in text
    assert "threshold fixed at 0.2" in text
    assert ", 1 random seed," in describe_rows([row("drs", 0, 0.4)])
    assert describe_rows([]) == "not run"
    places = {"drs": "a GPU", "ssc": "elsewhere"}
    trained = [row(v, 0, 0.1, "train_loss", None, stage="cam", device=device) for v, device in places.items()]
    assert describe_rows([row("drs", 0, 0.4), *trained]).endswith("no CRF, a GPU")


@pytest.fixture
def run(tmp_path):
    run = open_run("tiny", run_dir=str(tmp_path / "run"))
    for name, labels in {"a": {"split": "train"}, "b": {"split": "val"}}.items():
        stage = run.stage(run.folder / name, "seeds", {}, variant="drs", seed=0, **labels)
        stage.begin()
        stage.finish({"seed/mIoU": 0.25, "seed/IoU/cow": 0.5})
    return run


def test_report_holds_every_row(run):
    rows = write_report(run)
    assert [r["split"] for r in rows] == ["train", "train", "val", "val"]
    assert read_json(run.folder / "report.json") == {"preset": "tiny", "rows": rows}


def test_report_of_nothing(tmp_path):
    run = open_run("tiny", run_dir=str(tmp_path / "run"))
    with pytest.raises(UserError, match="no results yet") as caught:
        write_report(run)
    assert str(run.folder) in str(caught.value) and not (run.folder / "report.json").exists()


def test_reference_rows_are_kept_and_found(run, tmp_path, monkeypatch):
    monkeypatch.setattr("sscnb.evidence.report.project_root", lambda: tmp_path)
    assert reference_rows() == {}
    keep_rows(run, "scenes", ["val"])
    (kept,) = reference_rows().values()
    assert [(r["metric"], r["split"]) for r in kept] == [("seed/mIoU", "val")]
    assert list(reference_rows()) == ["generated scenes"]


def test_a_benchmarks_rows_take_the_place_of_those_of_the_same_labels(monkeypatch, tmp_path):
    monkeypatch.setattr("sscnb.evidence.report.project_root", lambda: tmp_path)
    (tmp_path / "book/results").mkdir(parents=True)
    rows = [{"change": change, "seed": seed, "value": 1} for change in ("a", "b") for seed in (0, 1)]
    replace_rows("kept", rows, ("change", "seed"))
    replace_rows("kept", [{"change": "a", "seed": 1, "value": 2}], ("change", "seed"))
    kept = json.loads((tmp_path / "book/results/kept.json").read_text())["rows"]
    found = [(row["change"], row["seed"], row["value"]) for row in kept]
    assert found == [("a", 0, 1), ("b", 0, 1), ("b", 1, 1), ("a", 1, 2)]
