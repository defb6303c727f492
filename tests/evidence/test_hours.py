"""Hours of a GPU from operations, by hand; and the table of the check."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sscnb.evidence.hours import SUSTAINED, TWO_CORES, check_table, plan_table, plan_text
from sscnb.evidence.operations import counting
from sscnb.evidence.plan import Images, plan_rows
from sscnb.settings import load_config

ORIGIN = {"commit": "abc", "utc": "2026-11-25T00:00:00+00:00", "machine": "x86_64, 2 cores", "device": "cpu"}


def counted(stage, value, times, runs, precision="no", of="baseline, ssc", gib=0.0, **more):
    labels = {"preset": "voc", "stage": stage, "of": of, "times": times, "runs": runs, "precision": precision}
    return {"metric": "TFLOP", "value": value, "unit": "TFLOP", "gib": gib, **labels, **ORIGIN, **more}


def cells(table):
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines() if line[:1] == "|"][2:]


def test_hours_are_operations_by_rate():
    slow, fast = SUSTAINED["no"]
    rows = [
        counted("cam", slow, 3600, 3, of="baseline", batch=6, gib=2.0),  # an hour each on the slow end
        counted("cam", 2 * slow, 1800, 3, of="ssc after 5 epochs of drs+cdr", batch=6),  # of half the steps
        counted("segmentation", SUSTAINED["fp16"][0], 7200, 6, "fp16", batch=16),  # two
        counted("predictions", slow, 1800, 6),  # half an hour
    ]
    table = cells(plan_table(rows))
    assert table[0][:6] == ["CAM network", "baseline", "3", "3,600 steps of 6", "8.0", "2.0"]
    assert table[0][6] == f"{3 * slow / fast:.2f} to 3.0"
    assert table[0][7] == f"{3 * slow / TWO_CORES[1]:,.0f} to {3 * slow / TWO_CORES[0]:,.0f}"
    assert table[1][1:4] == ["ssc after 5 epochs of drs+cdr", "3", "1,800 steps of 6"]
    assert table[1][6].endswith("to 3.0")
    assert table[2][2:5] == ["6", "7,200 steps of 16", "20"] and table[2][6].endswith("to 12")
    assert table[3][3] == "1,800 images" and table[3][6].endswith("to 3.0")
    assert table[4][0] == "**together**" and table[4][6].endswith("to 21**") and table[4][1] == ""
    told = plan_text(rows)
    assert [line.split("  ")[0] for line in told.splitlines()[1:6:2]] == ["CAM network", "segmentation", "together"]
    assert "estimate" in told and "8 to 25 in float32" in told.replace("\n", " ")


@pytest.mark.slow
def test_a_plan_counts_the_steps_that_a_network_trains_itself():
    changes = {"cam.epochs": 4, "modulation.warmup_epochs": 3, "seeds": [0, 1], "variants": ["drs+cdr", "ssc"]}
    rows = plan_rows(load_config("tiny", changes), Images(30, 8, 8, 4, (96, 96)), ["ssc"])
    found = {(row["stage"], row["of"]): row for row in rows}
    assert found["cam", "drs+cdr"]["times"] == 4 * (30 // 8) and found["cam", "drs+cdr"]["runs"] == 2
    begun = found["cam", "ssc after 3 epochs of drs+cdr"]
    assert begun["times"] == 30 // 8 and begun["value"] >= found["cam", "drs+cdr"]["value"]
    assert found["cams", "each"]["times"] == 38 and found["cams", "each"]["runs"] == 4
    assert found["predictions", "ssc"]["times"] == 8 and all(row["value"] > 0 for row in rows)
    assert all(row["gib"] > 0 for row in rows if "batch" in row)


def test_without_rows_nothing_ran():
    assert plan_table([]) == check_table([]) == "Not run."


@pytest.mark.parametrize("presets", [["voc"], ["voc", "voc_released"]])
def test_the_check_shows_every_stage_of_every_preset(presets):
    rows = []
    for preset in presets:
        for metric, value, unit in (("stage seconds", 32.0, "s"), ("resident peak", 2.25, "GiB")):
            for stage in ("superpixels", "ir_labels", "irn"):
                labels = {"preset": preset, "stage": stage, "images": 16, "segmentation_batch": 2, "crf": "dense"}
                rows.append({"metric": metric, "value": value, "unit": unit, "threads": 1, **labels, **ORIGIN})
    text = check_table(rows)
    table = cells(text)
    assert [line[0] for line in table] == ["superpixels", "relation labels", "relation network, two steps"]
    assert all(line[1:] == ["16", *["32.0", "2.2"] * len(presets)] for line in table)
    assert "batch 2" in text and "1 thread," in text
    assert "superpixels 5.9, relation labels 5.9" in text  # 2 s an image, 10,582 images


@pytest.mark.slow  # torch takes seconds to import what tensors without data need
@pytest.mark.parametrize("groups", [1, 2])
def test_products_are_counted_forward_and_backward(groups):
    once = 2 * 2 * 4 * 64 * 36 // groups  # two operations for each of 2 x 4 x 8 x 8 outputs and 4 x 3 x 3 weights
    for wanted, passes in ((False, 2), (True, 3)):  # forward, for the weights, for the input
        with counting() as (products, _):
            images = torch.randn(2, 4, 8, 8, requires_grad=wanted)
            torch.nn.Conv2d(4, 4, 3, padding=1, groups=groups)(images).sum().backward()
        assert products.total == passes * once


@pytest.mark.slow
def test_what_is_transposed_counts_the_cells_that_come_in():
    with counting() as (products, _):
        torch.nn.ConvTranspose2d(3, 5, 2, stride=2)(torch.randn(1, 3, 4, 4)).sum().backward()
    assert products.total == 2 * 2 * 16 * 3 * 5 * 4  # forward and for the weights


@pytest.mark.slow
def test_without_groups_the_count_is_torchs_own():
    def step():
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3, stride=2))
        net(torch.randn(2, 3, 16, 16)).flatten(1).matmul(torch.randn(144, 3)).sum().backward()

    with counting() as (products, _):
        step()
    with FlopCounterMode(display=False) as theirs:
        step()
    assert products.total == theirs.get_total_flops() > 0
