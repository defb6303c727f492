import numpy as np
import pytest

from sscnb.evidence import (
    LOWER,
    STEPS,
    classes_table,
    figures,
    groups_by_classes,
    groups_by_share,
    object_share,
    refined_table,
    size_panels,
)


def row(change, variant, seed, group, value, by="share", preset="voc_animals", metric="seed/image_mIoU"):
    labels = {"metric": metric, "preset": preset, "change": change, "variant": variant, "seed": seed, "by": by}
    return labels | {"group": group, "value": value, "share": 0.1 + group / 2, "images": 30 - 10 * group}


def test_share_of_the_labelled_pixels():
    mask = np.zeros((10, 10), np.uint8)
    mask[:3] = 5
    mask[9] = 255
    assert object_share(mask) == pytest.approx(30 / 90)
    assert object_share(np.full((4, 4), 255, np.uint8)) == 0


def test_groups_go_from_small_to_large_and_hold_every_image_once():
    shares = {f"i{n}": n / 10 for n in (7, 1, 4, 9, 2, 0, 3)}
    assert groups_by_share(shares, 3) == [["i0", "i1", "i2"], ["i3", "i4"], ["i7", "i9"]]


def test_groups_by_the_number_of_classes():
    class Labels:
        def labels(self, image_id):
            return np.array({"a": [1, 0, 0], "b": [1, 1, 0], "c": [0, 0, 0]}[image_id], np.float32)

    assert groups_by_classes(Labels(), ["a", "b", "c"]) == [["a", "c"], ["b"]]


def test_a_panel_a_step_and_a_line_a_data_set():
    rows = [row("", v, 0, g, STEPS.index(v) / 10, preset="small") for v in STEPS for g in (0, 1)]
    rows += [row("longer", v, s, g, 0.4 + s / 10 * i) for i, v in enumerate(STEPS[:2]) for s in (1, 2) for g in (0, 1)]
    rows += [row("longer", "drs", 7, 0, 0.9), row("", "drs", 0, 0, 0.5)]  # without a baseline
    panels = size_panels(rows)
    scenes = ["generated scenes"]
    assert {title: list(tables) for title, tables in panels.items()} == {
        "suppression": ["398, twice the epochs", *scenes],
        "reconstruction": scenes,
        "self-modulation": scenes,
        "all three": scenes,
    }
    table = panels["suppression"]["398, twice the epochs"]
    assert table["seed"].tolist() == [1, 1, 2, 2] and table["share"].tolist() == pytest.approx([10, 60, 10, 60])
    assert table["change"].tolist() == pytest.approx([10, 10, 20, 20])
    figure = figures.size_curves(panels)
    assert [axis.get_title() for axis in figure.axes] == list(panels)
    line = figure.axes[0].lines[1]
    assert line.get_xdata().tolist() == pytest.approx([10, 60]) and line.get_ydata().tolist() == pytest.approx([15, 15])
    assert len(figure.legends[0].get_texts()) == 2
    scenes = [next(x for x in axis.lines if x.get_label() == "generated scenes") for axis in figure.axes]
    assert len({line.get_color() for line in scenes}) == 1 and scenes[0].get_color() != line.get_color()


def test_images_of_one_class_and_of_several():
    rows = [row("", "baseline", s, g, 0.4, "classes") for s in (0, 1) for g in (0, 1)]
    rows += [row("", "drs", s, g, 0.5 + s / 10 - g / 5, "classes") for s in (0, 1) for g in (0, 1)]
    rows.append(row("", "drs", 0, 0, 0.9))  # another grouping
    rows.append(row("", LOWER, 1, 0, 0.3, "classes"))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in classes_table(rows).splitlines()]
    steps = ["suppression", "reconstruction", "self-modulation", "all three", "threshold of .16"]
    assert lines[0] == ["data", "images", *steps]
    assert lines[2] == ["1,000 photographs", "one class (30)", "+15.0 ± 7.1", "not run", "not run", "not run", "-10.0"]
    assert lines[3] == ["1,000 photographs", "several classes (20)", "-5.0 ± 7.1", *["not run"] * 4]
    assert len(lines) == 4
    same = [row("", v, 0, 0, value, "classes") for v, value in (("baseline", 0.5), ("drs", 0.4999))]
    assert "| +0.0 |" in classes_table(same)


def test_pseudo_masks_stand_beside_the_seeds_that_they_come_from():
    rows = [row("", v, s, g, 0.4 + s / 10, "classes") for v in ("baseline", "ssc") for s in (0, 1) for g in (0, 1)]
    rows += [row("", v, 2, 0, 0.9, "classes") for v in ("baseline", "ssc")]  # without pseudo-masks
    rows.append(row("fewer", "baseline", 0, 0, 0.1, "classes"))
    masks = {"metric": "pseudo/image_mIoU", "by": "classes"}
    made = (("baseline", 0, 0.7), ("ssc", 0, 0.8), ("baseline", 1, 0.2))  # the last with nothing to compare it with
    rows += [row("", variant, seed, 0, value, **masks) | {"crf": "dense"} for variant, seed, value in made]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in refined_table(rows).splitlines()]
    assert lines[2] == ["1,000 photographs", "one class (30)", "45.0 → 45.0", "70.0 → 80.0", "not run"]
    assert lines[3] == ["1,000 photographs", "several classes (20)", "45.0 → 45.0", "not run", "not run"]
    assert len(lines) == 4
