"""The benchmark that follows the memory of a training step."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from sscnb.settings.presets import PRESETS

PATH = Path(__file__).resolve().parents[2] / "benchmarks/segmentation_step.py"


@pytest.mark.slow  # torch takes seconds to import what fake tensors need
def test_two_networks_keep_twice_as_much():
    spec = importlib.util.spec_from_file_location("segmentation_step", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lite = replace(PRESETS["tiny"].segmentation, output_stride=16)
    one = module.follow(lite, batch=4, num_labels=4)
    assert 0 < one["forward"] < one["peak"] < 1
    two = module.follow(replace(lite, method="cotrain", mix="halves", contour="pasted"), batch=4, num_labels=4)
    assert 1.8 < two["forward"] / one["forward"] < 2.3
