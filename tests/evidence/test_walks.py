from sscnb.evidence import walks_table


def row(variant, edges, steps, value, seed=0, crf="dense", metric="pseudo/mIoU"):
    labels = {"variant": variant, "edges": edges, "steps": steps, "seed": seed, "crf": crf}
    return labels | {"metric": metric, "value": value}


def case(variant, edges, steps, value, **labels):
    """Rows of a case as the benchmark writes them: each metric, here a percent above the one before."""
    metrics = ("pseudo/mIoU", "pseudo/best_mIoU", "pseudo/over", "pseudo/under")
    return [row(variant, edges, steps, value + n / 100, metric=m, **labels) for n, m in enumerate(metrics)]


def table(rows):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in walks_table(rows).splitlines()[2:]]


def test_own_edges_by_steps_come_before_those_of_either_network():
    rows = []
    for seed, higher in ((0, 0.0), (1, 0.2)):
        rows += case("baseline", "baseline", 256, 0.6 + higher, seed=seed)
        rows += case("ssc", "ssc", 256, 0.5 + higher, seed=seed)
        rows += case("baseline", "ssc", 256, 0.1 + higher, seed=seed)
        rows += case("ssc", "baseline", 256, 0.2 + higher, seed=seed)
    rows += case("baseline", "baseline", 4, 0.4) + case("ssc", "ssc", 4, 0.45)
    later = ["71.0 → 61.0", "72.0 → 62.0", "73.0 → 63.0"]
    assert table(rows) == [
        ["with", "each its own", "4", "1", "40.0 → 45.0", "41.0 → 46.0", "42.0 → 47.0", "43.0 → 48.0"],
        ["with", "each its own", "256", "2", "70.0 → 60.0", *later],
        ["with", "the baseline's", "256", "2", "70.0 → 30.0", "71.0 → 31.0", "72.0 → 32.0", "73.0 → 33.0"],
        ["with", "the full method's", "256", "2", "20.0 → 60.0", "21.0 → 61.0", "22.0 → 62.0", "23.0 → 63.0"],
    ]


def test_a_case_that_one_of_the_two_lacks_is_left_out():
    assert table(case("baseline", "baseline", 16, 0.5)) == []
    rows = case("baseline", "baseline", 0, 0.5, crf="none") + case("ssc", "ssc", 0, 0.6, crf="none")
    assert [line[:3] for line in table(rows)] == [["without", "each its own", "0"]]
