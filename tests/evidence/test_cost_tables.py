"""What a step costs: variant by way, one table for each setting."""

from sscnb.evidence import cost_table, speed_table


def row(variant, way, value, metric="peak memory", preset="voc", **more):
    setting = {"preset": preset, "backbone": "resnet50", "batch": 6, "crop": 512, "classes": 20}
    base = {"metric": metric, "variant": variant, "options": way, "value": value, "setting": setting}
    return base | {"device": "cpu", "machine": "x", "utc": "2026-11-25T00:00"} | more


def test_the_longer_of_variants_and_ways_runs_down():
    rows = [row("drs", "ours", 1.5), row("drs", "straightforward", 2.5), row("ssc", "ours", 6.791)]
    rows += [row("ssc", "the same, less", 7)]
    assert cost_table(rows).splitlines() == [
        "## Peak memory (GiB)",
        "",
        "Preset `voc`, resnet50, batch 6, 512 px, 20 classes:",
        "",
        "| step | + DRS | + DRS + CDR + ASM (SSC) |",
        "| --- | ---: | ---: |",
        "| straightforward | 2.50 |  |",
        "| the same, less |  | 7.00 |",
        "| ours | 1.50 | 6.79 |",
        "",
        "Device cpu, x, 2026-11-25.",
    ]
    turned = cost_table(rows[::2]).splitlines()
    assert turned[4:] == ["| variant | ours |", "| --- | ---: |", "| + DRS | 1.50 |",
                          "| + DRS + CDR + ASM (SSC) | 6.79 |", "", "Device cpu, x, 2026-11-25."]  # fmt: skip


def test_quantities_and_settings_have_their_own_tables():
    rows = [row("ssc", "ours", 1), row("ssc", "ours", 2, preset="small"), row("ssc", "ours", 3, "seconds per step")]
    text = cost_table(rows)
    assert text.count("| ours |") == 3 and [line for line in text.splitlines() if line.startswith("#")] == [
        "## Peak memory (GiB)",
        "## Time of a step (s)",
    ]
    assert cost_table([]) == "Not measured."


def test_before_stands_beside_after():
    one = {"work": "walk", "before": 0.3, "after": 0.05, "value": 6, "load": 1.2, "repetitions": 5}
    one |= {"processor": "P", "machine": "m", "utc": "2026-11-27T00:00"}
    one |= {"commit_before": "f4aa7ed12345", "commit_after": "abc", "gflop": 0.0}
    other = one | {"work": "step", "before": 1, "after": 1.25, "value": 0.8, "load": 0.9, "gflop": 25.0}
    assert speed_table([one, other]).splitlines() == [
        "| work | `f4aa7ed` (s) | today (s) | times as fast | GFLOP/s today |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| walk | 0.300 | 0.050 | 6.00 |  |",
        "| step | 1.000 | 1.250 | 0.80 | 20 |",
        "",
        "Medians of 5 turns on one thread: P, m, load 0.9 to 1.2, 2026-11-27, today's code at `abc`.",
    ]
    assert speed_table([]) == "Not measured."
