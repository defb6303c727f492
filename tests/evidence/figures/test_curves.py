"""Curves: the right lines in the right panels."""

import pandas as pd
import pytest

from sscnb.evidence import figures


def test_loss_curves_have_a_panel_a_loss_and_a_line_a_variant():
    first = [{"epoch": e, "loss": 3.0, "classification": 1.0 - e / 4, "seconds": 1.0} for e in range(3)]
    second = [{**e, "reconstruction": 0.5} for e in first]
    figure = figures.loss_curves({"drs": first, "drs+cdr": second})
    titles = {axis.get_title(): axis for axis in figure.axes}
    assert set(titles) == {"classification loss", "reconstruction loss"}
    (line, _) = titles["classification loss"].lines
    assert line.get_xdata().tolist() == [1, 2, 3] and line.get_ydata().tolist() == [1, 0.75, 0.5]
    assert [line.get_label() for line in titles["reconstruction loss"].lines] == ["drs+cdr"]


def test_gap_curves_begin_where_the_image_is_rebuilt():
    history: list[dict] = [{"epoch": epoch, "classification": 1.0} for epoch in range(3)]
    history[1]["gap"], history[2]["gap"] = 0.02, 0.12
    figure = figures.gap_curves({"drs": history[:1], "drs+cdr": history})
    line, wanted = figure.axes[0].lines
    assert line.get_label() == "drs+cdr" and line.get_xydata().tolist() == [[2, 2], [3, 12]]
    assert set(wanted.get_ydata()) == {10}
    assert len(figures.loss_curves({"drs+cdr": history[1:]}).axes) == 1  # the gap is no loss


def test_more_variants_than_colours_are_all_drawn():
    history = [{"epoch": 0, "loss": 1.0, "classification": 1.0, "seconds": 1.0}]
    figure = figures.loss_curves({f"variant {n}": history for n in range(16)})
    assert len(figure.axes[0].lines) == 16


def test_threshold_curves_mark_best_and_fixed():
    curve = {"threshold": [0.0, 0.2, 0.4], "mIoU": [0.1, 0.5, 0.3], "over": [0.9, 0.4, 0.1], "under": [0, 0.2, 0.6]}
    figure = figures.threshold_curves({"drs": curve}, fixed=0.2)
    assert [axis.get_title() for axis in figure.axes] == ["mIoU (%)", "over-activation (%)", "under-activation (%)"]
    drawn, best, fixed = figure.axes[0].lines
    assert drawn.get_ydata().tolist() == pytest.approx([10, 50, 30])
    assert best.get_xydata().tolist() == [[pytest.approx(0.2), pytest.approx(50)]]
    assert set(fixed.get_xdata()) == {0.2}


def test_sweep_curves_leave_out_what_was_not_run():
    table = pd.DataFrame(
        [("beta_p", 0.1, 40.0, None), ("beta_p", 1, None, None), ("beta_p", 5, 42.0, None), ("r", 2, None, 7.0)],
        columns=["parameter", "value", "kept", "this run"],
    )
    figure = figures.sweep_curves(table, "kept")
    first, second = figure.axes
    (line,) = first.lines
    assert line.get_xydata().tolist() == [[0.1, 40], [5, 42]]
    assert not second.lines and [text.get_text() for text in second.texts] == ["not run"]
    assert [text.get_text() for text in first.texts] == ["2 of 3 run"]
    assert [label.get_text() for label in first.get_xticklabels()] == ["0.1", "1", "5"]  # where nothing was run too
    assert (first.get_xlabel(), first.get_xscale()) == (r"$\beta_p$", "log")
    assert (second.get_xlabel(), second.get_xscale()) == ("$r$", "linear")
    assert first.get_ylabel() == "seed mIoU (%)"
    assert figures.sweep_curves(table, "this run").axes[1].lines[0].get_xydata().tolist() == [[2, 7]]


def test_premise_joins_what_differs_in_crop_alone_and_rings_this_run():
    names = ["train_images", "crop", "epochs", "clip", "peaks", "cells"]
    names += ["seed/over", "seed/under", "seed/best_threshold"]
    lines = [(398, 176, 9, 0, "capped", 14, 36, 15, 0.32), (398, 320, 9, 0, "capped", 46, 28, 31, 0.19)]
    lines += [(398, 320, 9, 0, "free", 46, 24, 19, 0.25), (1000, 320, 9, 0, "capped", 46, 12, 25, 0.17)]
    here = {"train_images": 398, "crop": 320, "epochs": 9, "clip": 0, "peaks": "free"}
    table = pd.DataFrame(lines, columns=names, index=["c176", "c320", "fewer", "preset"])
    figure = figures.premise_curves(table, here, 75.0)
    for axis, number in zip(figure.axes, (2, 1), strict=True):
        joined, beside, ringed = axis.lines[:3]
        assert [list(drawn.get_xdata()) for drawn in (joined, beside, ringed)] == [[14, 46], [46, 46], [46]]
        assert list(axis.lines[3].get_xdata()) == [46] and axis.lines[-1].get_xdata()[0] == 75
        assert len(axis.lines) == 4 * number + 1
    assert [list(figure.axes[0].lines[place].get_ydata()) for place in (2, 3)] == [[24], [12]]
