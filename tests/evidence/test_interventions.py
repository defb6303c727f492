from sscnb.evidence import interventions_table, suppression_table
from sscnb.evidence.interventions import CHANGES
from sscnb.settings import load_config


def rows(change, variant, *values, seed=0):
    names = ("seed/mIoU", "seed/tuned_mIoU", "seed/over", "seed/under")
    labels = {"change": change, "variant": variant, "seed": seed}
    return [labels | {"metric": name, "value": value} for name, value in zip(names, values, strict=False)]


def test_changes_are_of_the_preset():
    for change in CHANGES.values():
        load_config("voc_animals", dict(change.overrides))


def test_a_step_stands_beside_what_it_begins_with_at_the_same_change():
    chosen = rows("", "baseline", 0.45, 0.46, 0.24, 0.19) + rows("", "drs", 0.42, 0.43, 0.31, 0.17)
    chosen += [*rows("", "drs", 0.9, 0.9, 0.9, 0.9, seed=1), {"metric": "images/train", "value": 1000}]
    found = rows("released", "drs", 0.44, 0.45, 0.3, 0.1) + rows("eight", "baseline", 0.5)
    found += rows("fewer", "baseline", 0.4, 0.41, 0.2, 0.15)
    found += [{"change": "eight", "variant": "drs", "seed": 0, "metric": "classifier/mAP", "value": 0.8}]
    table = interventions_table(found, chosen, "baseline", "drs").splitlines()
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in table]
    assert lines[0][:4] == ["change", "random seeds", "mIoU (%)", "mIoU, tuned threshold (%)"]
    assert lines[0][4:] == ["over-activation (%)", "under-activation (%)"]
    assert lines[2] == ["none: 1,000 photographs", "1", "45.0 → 42.0", "46.0 → 43.0", "24.0 → 31.0", "19.0 → 17.0"]
    assert lines[3][0] == CHANGES["eight"].title and lines[3][1:4] == ["1", "50.0 → not run", "not run → not run"]
    assert lines[4][1:] == ["1", "40.0 → 44.0", "41.0 → 45.0", "20.0 → 30.0", "15.0 → 10.0"]  # with as few
    assert len(lines) == 5


def test_a_step_is_the_mean_over_the_random_seeds_that_both_have():
    fewer = [row for seed in (0, 1, 2) for row in rows("fewer", "baseline", 0.4 + seed / 10, 0.5, 0.1, 0.1, seed=seed)]
    found = [row for seed in (1, 2) for row in rows("released", "drs", 0.3 + seed / 5, 0.6, 0.2, 0.2, seed=seed)]
    (line,) = interventions_table(fewer + found, [], "baseline", "drs").splitlines()[3:]
    assert [cell.strip() for cell in line.split("|")][2:5] == ["2", "55.0 → 60.0", "50.0 → 60.0"]


def test_a_change_without_the_step_is_left_out():
    found = rows("eight", "drs", 0.5, 0.5, 0.5, 0.5) + rows("sooner", "ssc", 0.6, 0.6, 0.1, 0.1)
    assert len(interventions_table(found, [], "drs", "drs+cdr").splitlines()) == 3
    (line,) = interventions_table(found, [], "drs+cdr", "ssc").splitlines()[3:]
    assert line.startswith("| 398 photographs, reconstruction from the 4th epoch") and "not run → 60.0" in line


def test_what_suppression_does_in_training_and_after_it():
    found = rows("", "baseline", 0.4, 0.5, 0.1, 0.2)
    found = [row | {"preset": "small", "suppressed": True} for row in found]
    lines = suppression_table(found, "small").splitlines()
    assert [line.split("|")[1:4] for line in lines[2:]] == [
        [" without ", " without ", " not run "],
        [" without ", " with ", " 40.0 "],
        [" with ", " without ", " not run "],
        [" with ", " with ", " not run "],
    ]
    assert "not run" in suppression_table(found, "voc_animals").splitlines()[3]
