"""The chapters' tables: the paper's numbers as printed, a run's beside them, "not run" otherwise."""

import pandas as pd

from sscnb.evidence import comparison, mean_and_deviation, paper, titled
from sscnb.settings import SWEEPS, VARIANTS, load_config


def row(metric, value, variant="ssc", seed=0):
    return {"metric": metric, "value": value, "variant": variant, "seed": seed, "split": "train"}


SEEDS = mean_and_deviation([row("seed/mIoU", 0.5), row("seed/mIoU", 0.25, "drs+cdr")], ["seed/mIoU", "seed/over"])


def test_losses_are_table_viii_and_the_early_features():
    table = comparison.losses(SEEDS)
    assert table["paper (VOC train)"].tolist() == [*paper.load(8)["miou"], paper.load(7)["miou"][2]]
    assert table.index.tolist() == [
        "+ DRS",
        *(VARIANTS[v].title for v in ("cdr_l1", "cdr_l2", "drs+cdr", "drs+cdr_early")),
    ]
    assert table["mIoU (%)"].tolist() == ["not run", "not run", "not run", "25.0", "not run"]
    assert set(table["over-activation (%)"]) == {"not run"}


def test_gaps_are_means_over_random_seeds_in_the_unit_of_their_title():
    names = ("gap", "own", "other", "mirror", "fixed", "blank", "colour")
    rows = [row(f"reconstruction/{name}", 0.25 + 0.5 * seed, seed=seed) for name in names for seed in (0, 1)]
    table = comparison.gaps([*rows, row("seed/mIoU", 0.5)])
    assert table.index.tolist() == ["ssc"] and table.loc["ssc"].tolist() == [50, *[0.5] * 6]
    assert list(titled(table).columns)[:2] == ["gap (%)", "L_p to its own image"]


def test_sweeps_have_every_value_of_fig_7_and_one_seeds_measures():
    config = load_config("tiny")
    rows = [row("seed/mIoU", 0.5), row("seed/mIoU", 0.6, seed=1), row("seed/over", 0.7)]
    kept = [row("seed/mIoU", 0.25, "ssc@modulation.beta=2") | {"preset": "tiny"}]
    table = comparison.sweeps(config, rows, kept, seed=0)
    assert len(table) == sum(len(values) for values in SWEEPS.values())
    assert table[table["variant"] == "ssc"]["this run"].dropna().unique().tolist() == [50]
    (known,) = table[table["kept"].notna()].to_dict("records")
    assert (known["parameter"], known["value"], known["kept"], known["paper"]) == ("beta_a", 2, 25, "good")
    by_value = table[table["parameter"] == "r"].set_index("value")["paper"]
    assert by_value.to_dict() == {2: "lower", 4: "lower", 6: "good", 8: "good", 10: "good", 12: "lower"}


def test_kept_sweeps_may_be_of_a_preset_whose_erosion_has_other_values():
    kept = [row("seed/mIoU", 0.25, "ssc@modulation.erosion=4") | {"preset": "voc_animals"}]  # 6 of 512 are 4 of 320
    table = comparison.sweeps(load_config("tiny"), [], kept, seed=0)
    (known,) = table[table["kept"].notna()].to_dict("records")
    assert (known["parameter"], known["value"], known["kept"]) == ("r", 6, 25)


def test_refinement_is_table_ii_and_the_variants_that_were_run():
    table = mean_and_deviation([row("seed/mIoU", 0.5), row("pseudo/mIoU", 0.625)], ["seed/mIoU", "pseudo/mIoU"])
    shown = comparison.refinement(table, ["baseline", "ssc"], "mine")
    printed = paper.load(2)
    assert len(shown) == len(printed) + 1
    assert shown.iloc[-1].tolist() == [f"mine: {VARIANTS['ssc'].title}", "50.0", "62.5"]
    assert shown.iloc[0].tolist()[1:] == [f"{printed['seed'][0]:.1f}", f"{printed['with_irn'][0]:.1f}"]


def test_segmentation_has_the_papers_rows_and_the_best_of_those_with_labels_alone():
    table = mean_and_deviation([row("segmentation/mIoU", 0.5, "truth")], ["segmentation/mIoU"])
    shown = comparison.segmentation(table, {"ssc": "SSC", "truth": "true masks"}, "mine")
    assert shown.iloc[-2:].to_numpy().tolist() == [["SSC (mine)", "not measured"], ["true masks (mine)", "50.0"]]
    for number, data in comparison.SEGMENTATIONS.items():
        printed = paper.load(number)
        ours, others = printed[printed["ours"]], printed[~printed["ours"] & (printed["sup"] == "I")]
        expected = {
            f"{name} (paper, {data})": f"{value:.1f}" for name, value in zip(ours["method"], ours["val"], strict=True)
        }
        found = shown[shown["learned from"].str.endswith(f"(paper, {data})")].set_index("learned from").iloc[:, 0]
        assert found.iloc[0] == f"{others['val'].max():.1f}" and found.iloc[1:].to_dict() == expected


def test_failures_are_counted_by_kind_with_the_most_frequent_pairs():
    cases = [("look-alike", 1, 2)] * 3 + [("look-alike", 2, 1), ("background", 0, 2)]
    failures = [{"kind": kind, "class": true, "taken_as": taken} for kind, true, taken in cases]
    table = comparison.failures({"SSC": failures, "true masks": []}, ["background", "cow", "dog"], most=1)
    assert table.to_numpy().tolist() == [
        ["SSC", "background", 1, "background as dog (1)"],
        ["SSC", "look-alike", 4, "cow as dog (3)"],
        ["true masks", "background", 0, ""],
        ["true masks", "look-alike", 0, ""],
    ]
    assert isinstance(table, pd.DataFrame) and comparison.failures({}, ["background"]).empty
    labels = comparison.failure_labels([failures[0] | {"share": 0.456}], ["background", "cow", "dog"])
    assert labels == ["cow\nas dog\n46 %"]
