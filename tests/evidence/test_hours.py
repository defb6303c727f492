"""Hours of a GPU from operations, by hand; and the table of the check."""

import importlib.util
from pathlib import Path

import pytest
import torch

from sscnb.evidence.hours import SUSTAINED, check_table, hours_table

ORIGIN = {"commit": "abc", "utc": "2026-11-25T00:00:00+00:00", "machine": "x86_64, 2 cores", "device": "cpu"}


def counted(stage, value, times, runs, precision="no", **more):
    labels = {"preset": "voc", "stage": stage, "times": times, "runs": runs, "precision": precision}
    return {"metric": "TFLOP", "value": value, "unit": "TFLOP", **labels, **ORIGIN, **more}


def cells(table):
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines() if line[:1] == "|"][2:]


def test_hours_are_operations_by_rate():
    slow, fast = SUSTAINED["no"]
    rows = [
        counted("cam", slow, 3600, 3, variant="baseline", batch=6),  # an hour each on the slow end
        counted("cam", 2 * slow, 3600, 3, variant="ssc", batch=6),  # two
        counted("segmentation", SUSTAINED["fp16"][0], 7200, 6, "fp16", batch=16),  # two
        counted("predictions", slow, 1800, 6),  # half an hour
    ]
    table = cells(hours_table(rows))
    ratio = slow / fast
    assert table[0] == ["`voc`", "CAM network", "float32", "16", "3,600 steps", f"{2 * ratio:.2f} to 2.0", "6",
                        f"{9 * ratio:.1f} to 9.0"]  # fmt: skip
    assert table[1][2:5] == ["fp16", "20", "7,200 steps"] and table[1][7].endswith("to 12")
    assert table[2][2:6:2] == ["float32", "1,800 images"] and table[2][5].endswith("to 0.50")
    assert table[3][1] == "**together**" and table[3][5].endswith("to 4.5**") and table[3][7].endswith("to 24**")


def test_without_rows_nothing_ran():
    assert hours_table([]) == check_table([]) == "Not run."


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
def test_products_are_counted_forward_and_backward():
    path = Path(__file__).resolve().parents[2] / "benchmarks/voc_hours.py"
    spec = importlib.util.spec_from_file_location("voc_hours", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    once = 2 * 2 * 4 * 64 * 27  # two operations for each of 2 x 4 x 8 x 8 outputs and 3 x 3 x 3 weights
    for wanted, passes in ((False, 2), (True, 3)):  # forward, for the weights, for the input
        with module.counting() as products:
            images = torch.randn(2, 3, 8, 8, requires_grad=wanted)
            torch.nn.Conv2d(3, 4, 3, padding=1)(images).sum().backward()
        assert products.total == passes * once
