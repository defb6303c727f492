"""The paper's tables as data: whole, numeric, and in agreement with the numbers that the paper's text states."""

import math

import pandas as pd
import pytest

from sscnb.errors import UserError
from sscnb.evidence import paper

TABLES = range(1, 10)
NUMBERS = {"seed", "with_irn", "val", "test", "miou", "gpu_gb"}


def value(table: int, method: str, column: str, **where: str) -> float:
    """One cell, which has to be the only one of that method."""
    rows = paper.load(table)
    rows = rows[rows.method == method]
    for name, wanted in where.items():
        rows = rows[rows[name] == wanted]
    return rows[column].item()


def test_every_printed_row_is_there():
    assert [len(paper.load(n)) for n in TABLES] == [4, 9, 10, 33, 11, 20, 6, 4, 4]


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_of_their_kind(table):
    rows = paper.load(table)
    numbers = NUMBERS & set(rows.columns)
    assert numbers or table == 1
    for column in numbers:
        assert pd.api.types.is_float_dtype(rows[column])
        assert rows[column].dropna().between(0, 100).all()
    for column in set(rows.columns) - numbers - {"citation", "number", "ours"}:
        assert all(isinstance(cell, str) for cell in rows[column]), column
    if "ours" in rows:
        assert rows.ours.dtype == bool


def test_only_one_cell_is_empty_as_in_print():
    empty = [(n, row.method) for n in TABLES[1:] for row in paper.load(n).itertuples()
             if any(math.isnan(getattr(row, c)) for c in NUMBERS & set(row._fields))]
    assert empty == [(9, "baseline")]


def test_the_method_of_the_paper_is_marked_once_where_it_is_compared():
    assert [int(paper.load(n).ours.sum()) for n in TABLES[1:]] == [1, 1, 1, 1, 1, 1, 0, 1]
    for n in range(2, 7):
        ours = paper.load(n).query("ours").iloc[0]
        assert ours.method == "SSC" and pd.isna(ours.citation) and ours.venue == ""
        others = paper.load(n).query("not ours")
        assert others.citation.between(1, 97).all() and (others.venue != "").all()


@pytest.mark.parametrize(
    ("table", "method", "column", "stated"),
    [
        (2, "SSC", "seed", 58.3),
        (2, "SSC", "with_irn", 71.9),
        (3, "SSC", "val", 66.8),
        (3, "SSC", "test", 67.4),
        (4, "SSC", "val", 72.7),  # the abstract; Section IV-C has the two splits the other way round
        (4, "SSC", "test", 72.8),
        (5, "SSC", "val", 38.1),
        (6, "SSC", "val", 47.0),
        (7, "baseline", "miou", 48.3),
        (7, "baseline + DRS", "miou", 50.2),
        (7, "baseline + DRS + CDR early", "miou", 52.3),
        (7, "baseline + DRS + CDR", "miou", 54.5),
        (7, "baseline + DRS + CDR + ASM w/o RAS", "miou", 57.2),
        (7, "baseline + DRS + CDR + ASM", "miou", 58.3),
        (8, "w/o CDR", "miou", 50.2),
        (8, "w/ CDR + perceptual loss", "miou", 54.5),
        (9, "baseline + DRS", "gpu_gb", 3.2),
        (9, "baseline + DRS + CDR", "gpu_gb", 10.6),
        (9, "baseline + DRS + CDR + ASM", "gpu_gb", 14.2),
    ],
)
def test_values_that_the_text_states(table, method, column, stated):
    assert value(table, method, column) == stated


@pytest.mark.parametrize(
    ("table", "other", "column", "lead"),
    [
        (2, "IRN", "seed", 10.0),
        (2, "RIB", "seed", 1.7),
        (2, "ReCAM", "seed", 1.7),
        (2, "D2CAM", "seed", 0.3),
        (3, "ECS", "test", 4.0),
        (4, "BECO", "val", 0.6),
        (4, "ACR", "test", 0.9),
        (4, "CLIP-ES", "test", 1.4),
        (5, "CONTA", "val", 14.4),
        (5, "RCA", "val", 1.3),
        (5, "MDBA", "val", 0.3),
        (6, "ACR", "val", 1.7),
        (6, "BECO", "val", 1.9),
        (6, "CLIP-ES", "val", 1.6),
    ],
)
def test_leads_that_the_text_states(table, other, column, lead):
    assert value(table, "SSC", column) - value(table, other, column) == pytest.approx(lead, abs=1e-6)


def test_a_work_has_one_citation_number_but_for_the_slips_that_a_note_names():
    rows = pd.concat([paper.load(n) for n in range(2, 7)]).query("not ours")
    assert (rows.groupby("method").citation.nunique() == 1).all()
    names = rows.groupby("citation").method.unique()
    assert {number: set(works) for number, works in names.items() if len(works) > 1} == {
        67: {"GSM", "GWSM"}, 78: {"OCR", "ACR"}, 90: {"ViT-PCM", "Spatial-BCE"},
    }
    assert (rows[rows.method.isin(["GSM", "GWSM", "ACR", "Spatial-BCE"])].note != "").all()
    assert "72.8 val" in value(4, "SSC", "note")


def test_one_method_stands_twice_with_different_supervision():
    assert value(4, "PPC", "val", sup="I+S") == 72.6
    assert value(4, "PPC", "val", sup="I") == 67.7


def test_sweep_has_the_ranges_of_the_text_and_no_invented_accuracy():
    sweep = paper.load_sweep()
    assert list(sweep.columns) == ["panel", "parameter", "value", "good", "chosen"]
    tried = {name: rows.value.tolist() for name, rows in sweep.groupby("parameter")}
    assert tried == {"beta_p": [0.1, 0.5, 1, 2, 5], "beta_a": [0.1, 0.5, 1, 2, 5], "r": [2, 4, 6, 8, 10, 12]}
    good = {name: (rows.value.min(), rows.value.max()) for name, rows in sweep[sweep.good].groupby("parameter")}
    assert good == {"beta_p": (1, 2), "beta_a": (0.1, 2), "r": (6, 10)}
    assert sweep[sweep.chosen].set_index("parameter").value.to_dict() == {"beta_p": 1, "beta_a": 1, "r": 8}


def test_later_works_are_no_rows_of_the_paper():
    later = paper.load_frontier().set_index("method")
    assert later.val.dropna().between(70, 80).all() and later.coco.dropna().between(45, 57).all()
    assert later.loc["WeCLIP+"].dropna().to_dict() == {"test": 83.9, "coco": 56.3}
    assert not set(later.index) & {"SSC"}


@pytest.mark.parametrize("table", [0, 10, "IV"])
def test_a_table_that_is_not_there(table):
    for function in (paper.load, paper.caption):
        with pytest.raises(UserError, match="from 1 to 9"):
            function(table)


def test_captions_name_metric_and_split():
    assert all(paper.caption(n).endswith(".") for n in TABLES)
    assert "mIoU" in paper.caption(2) and "COCO val" in paper.caption(6) and "GB" in paper.caption(9)
