"""The gap in training: rows, history, and a decoder that ignores its input, which has none."""

import pytest
import torch
from conftest import make_photographs

from sscnb.method import build_objective
from sscnb.settings import find_variant
from sscnb.stages.cam import train_cam
from sscnb.stages.data import prepare_data
from sscnb.stages.gap import gap_images, measure_gap
from sscnb.stages.run import open_run

SMALL = {"cam.batch_size": 4, "cam.crop": 64, "cam.epochs": 3, "cam.weights": "random", "variants": ["drs+cdr"]}
SMALL |= {"reconstruction.loss_weights": "random", "reconstruction.width": 8, "reconstruction.warmup_epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap")
    root = make_photographs(folder / "photographs", count=8)
    run = open_run("folder", run_dir=str(folder / "run"), data_root=str(root), overrides=SMALL)
    prepare_data(run)
    return run


def test_it_is_recorded_for_every_decoder(run):
    result = train_cam(run, "drs+cdr")
    values = {row["metric"]: row["value"] for row in result["rows"]}
    assert values["reconstruction/gap"] == pytest.approx(
        1 - values["reconstruction/own"] / values["reconstruction/other"]
    )
    assert [("gap" in epoch) for epoch in result["history"]] == [False, True, True]
    assert result["history"][0]["reconstruction"] == 0 < result["history"][1]["reconstruction"]
    assert not any("reconstruction/" in row["metric"] for row in train_cam(run, "drs")["rows"])


def test_images_are_whole_squares_of_the_validation_split(run):
    (batch,) = gap_images(run.dataset(), "val", 48, 64)
    assert batch.shape == (2, 3, 48, 48)


def test_a_decoder_that_ignores_its_input_has_no_gap(run):
    torch.manual_seed(0)
    parts, config = find_variant("drs+cdr", run.config)
    objective = build_objective(config, parts, 2)
    with torch.no_grad():
        for parameter in objective.decoder.layers[-2].parameters():
            parameter.zero_()  # the last convolution: one grey for everything
    assert measure_gap(run, objective, config)["reconstruction/gap"] == pytest.approx(0, abs=1e-6)
