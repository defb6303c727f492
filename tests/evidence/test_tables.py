"""The paper's tables beside ours: printed numbers as they are, measured ones from their rows, "not run" otherwise."""

import re
from pathlib import Path

import pytest

from sscnb.errors import UserError
from sscnb.evidence import paper
from sscnb.evidence.effects import alignment_table, effects_table, sweep_table
from sscnb.evidence.tables import evidence_table, frontier_table, pipeline_table, segmentation_table
from sscnb.settings.config import load_config
from sscnb.settings.variants import sweep

BIBLIOGRAPHY = (Path(__file__).resolve().parents[2] / "book/references.bib").read_text(encoding="utf-8")


def row(metric, value, variant="ssc", seed=0, split="train", preset="tiny", **more):
    base = {"metric": metric, "value": value, "variant": variant, "seed": seed, "split": split, "preset": preset}
    return base | {"stage": "any"} | more


def segmented(value, source="ssc", **more):
    labels = {"split": "val", "backbone": "efficientnet_lite0", "crf": "none", "pseudo_crf": "dense"} | more
    return [row(f"segmentation/{k}", v, source, **labels)
            for k, v in {"mIoU": value, "mIoU_low": value - 0.02, "mIoU_high": value + 0.03}.items()]  # fmt: skip


def lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines() if line[:1] == "|"]


@pytest.mark.parametrize("number", range(1, 10))
def test_every_printed_row_and_value_is_shown(number):
    text, table = evidence_table(number, {"this run": []}), paper.load(number)
    name = {1: "block", 7: "miou", 8: "miou", 9: "gpu_gb"}.get(number, "method")
    for cell in table[name].dropna():
        assert (f"{cell:.1f}" if isinstance(cell, float) else cell) in text
    for column in ("seed", "with_irn", "val", "test", "miou"):
        for value in table[column] if column in table else ():
            assert f"{value:.1f}" in text
    for note in filter(None, table["note"]):
        assert note in text
    assert number == 1 or "not run" in text.lower()


def test_there_is_no_table_x():
    with pytest.raises(UserError, match="from 1 to 9"):
        evidence_table(10, {})


def test_other_methods_have_their_work_supervision_and_backbone():
    table = lines(evidence_table(4, {}))
    ppc = [line for line in table if line[0] == "PPC"]
    assert [line[3] for line in ppc] == ["labels, saliency", "labels"] and ppc[0][4] == "ResNet-101"
    assert ppc[0][1] == "{cite:t}`du2022ppc`"
    # The number that the paper gives these two is another work's.
    assert [line[1] for line in table if line[0] in ("ACR", "Spatial-BCE")] == ["", ""]


def test_seeds_and_pseudo_masks_of_table_ii():
    rows = [row("seed/mIoU", 0.5), row("pseudo/mIoU", 0.6, crf="dense"), row("pseudo/mIoU", 0.55, crf="none")]
    rows += [row("seed/mIoU", 0.3, "baseline", seed) for seed in (0, 1)]
    rows += [row("seed/tuned_mIoU", 0.52)]
    table = lines(evidence_table(2, {"this run": rows}))
    assert table[-2] == ["this run", "baseline", "30.0 ± 0.0", "not run", "not run", "not run"]
    assert table[-1] == ["this run", "+ DRS + CDR + ASM (SSC)", "50.0", "52.0", "55.0", "60.0"]


def test_segmentations_stand_in_the_table_of_their_data_and_backbone():
    sets = {"scenes": segmented(0.7), "coco": segmented(0.4, preset="coco", backbone="vgg16")}
    shown = {n: re.findall(r"\| (scenes|coco) \|", evidence_table(n, sets)) for n in range(3, 7)}
    assert shown == {3: [], 4: ["scenes"], 5: ["coco"], 6: []}


def test_each_kind_of_segmentation_has_its_own_line():
    rows = segmented(0.7) + segmented(0.72, crf="dense") + segmented(0.9, "truth", pseudo_crf=None)
    rows += segmented(0.5, "baseline") + segmented(0.6, "baseline", seed=1)
    table = lines(segmentation_table({"x": rows}))[2:]
    assert [line[4:] for line in table] == [
        ["dense, none", "70.0", "68.0 to 73.0", "78 %"],
        ["dense, dense", "72.0", "70.0 to 75.0", ""],
        ["-, none", "90.0", "88.0 to 93.0", ""],
        ["dense, none", "55.0 ± 7.1", "53.0 to 58.0", "56 %"],  # .5 of .9: the second seed has no upper bound
    ]
    assert table[2][1] == "true masks (upper bound, schedule of `tiny`)"
    assert segmentation_table({"x": []}) == "Not run."


def test_the_way_from_seed_to_segmentation():
    rows = [
        row("seed/mIoU", 0.5),
        row("pseudo/mIoU", 0.6, crf="none"),
        row("pseudo/mIoU", 0.65, crf="dense"),
        *segmented(0.7),
    ]
    table = lines(pipeline_table({"this run": rows}))
    assert table[2][3:] == ["48.3", "66.3", *["not printed"] * 2]
    assert table[3][3:] == ["58.3", "71.9", "not printed", "72.7"]
    assert table[4] == ["this run", "baseline", "-", *["not run"] * 4]
    assert table[5][-5:] == ["dense", "50.0", "65.0", "not run", "70.0"]
    assert table[7][-5:] == ["none", "50.0", "60.0", "not run", "not run"] and len(table) == 8
    truth = row("segmentation/mIoU", 0.9, "truth", crf="dense")  # of the predictions
    assert len(lines(pipeline_table({"this run": [*rows[:2], truth]}))) == 6  # one kind of pseudo-masks, one line each
    assert table[0][3:5] == ["seed on train", "pseudo-mask on train"]
    assert table[0][5:] == ["segmentation on train", "segmentation on val"]
    rows += segmented(0.8, split="train")
    assert lines(pipeline_table({"this run": rows}))[5][-2:] == ["80.0", "70.0"]


def test_where_no_images_are_kept_back_predictions_stand_under_train():
    rows = [row("seed/mIoU", 0.5), *segmented(0.7, split="train")]
    assert lines(pipeline_table({"this run": rows}))[5][-2:] == ["70.0", "not run"]


def test_a_value_of_another_split_than_its_heading_names_it():
    rows = [row("seed/mIoU", 0.5, split="masked"), *segmented(0.7, split="train")]
    table = lines(pipeline_table({"this run": rows}))
    assert table[5][-5:] == ["-", "50.0 (masked)", "not run", "not run", "70.0 (train)"]
    assert lines(evidence_table(2, {"this run": rows}))[-1][2] == "50.0 (masked)"


def test_sweep_finds_the_networks_of_its_preset():
    name = sweep("beta_a", load_config("tiny"))[0.5]
    table = lines(sweep_table({"this run": [row("seed/mIoU", 0.5), row("seed/mIoU", 0.4, name)]}))
    by_value = {tuple(line[:2]): line[2:] for line in table[2:]}
    assert by_value["beta_a", "0.5"] == ["good", "40.0"] and by_value["beta_a", "1"] == ["chosen", "50.0"]
    assert by_value["beta_p", "5"] == ["lower", "not run"]


def test_later_works_stand_under_ssc_with_its_printed_numbers():
    table = [line for line in frontier_table().splitlines() if line.startswith("|")]
    assert table[2] == "| **SSC** | 58.3 | 72.7 | 72.8 | 47.0 |"
    assert "| CSRM |  |  |  | 50.4 |" in table


def test_a_sweep_compares_equal_seeds():
    name = sweep("beta_a", load_config("tiny"))[0.5]
    rows = [row("seed/mIoU", 0.5), row("seed/mIoU", 0.7, seed=1), row("seed/mIoU", 0.4, name)]
    by_value = {tuple(line[:2]): line[3] for line in lines(sweep_table({"this run": rows}))[2:]}
    assert by_value["beta_a", "1"] == "50.0" and by_value["beta_p", "1"].startswith("60.0 ±")


def test_a_set_without_a_sweep_has_no_column_beside_one_that_has():
    name = sweep("r", load_config("tiny"))[2]
    sets = {"swept": [row("seed/mIoU", 0.5), row("seed/mIoU", 0.4, name)], "whole": [row("seed/mIoU", 0.6)]}
    assert lines(sweep_table(sets))[0] == ["parameter", "value", "paper", "swept"]
    assert lines(sweep_table({"whole": sets["whole"]}))[0] == ["parameter", "value", "paper", "whole"]


def test_alignments_stand_by_weight_and_selection_with_equal_seeds():
    values = {"drs+cdr": 0.4, "ssc": 0.5, "drs+cdr+asm_no_ras@modulation.beta=5": 0.6}
    rows = [row("seed/mIoU", value, name) for name, value in values.items()]
    rows += [row("seed/mIoU", 0.9, "ssc", seed=1), row("seed/mIoU", 0.9, "ssc@modulation.erosion=2")]
    none, paper, heavier = lines(alignment_table(rows))[2:]
    assert none[:3] == ["0", "", "40.0"] and paper[:3] == ["1", "T_obj .3", "50.0"]
    assert heavier[:4] == ["5", "none", "60.0", "not run"]
    assert alignment_table([]) == "None yet."


def test_effects_are_variants_with_a_change_that_is_no_sweep_beside_equal_seeds():
    change, swept = 'drs@cam.fidelity="released"', sweep("beta_p", load_config("tiny"))[2]
    rows = [row("seed/mIoU", value, name) for name, value in {"drs": 0.4, change: 0.45, swept: 0.3}.items()]
    rows += [row("seed/over", value, name) for name, value in {"drs": 0.2, change: 0.1}.items()]
    rows += [row("seed/mIoU", 0.9, "drs", seed=1)]
    expected = ["x", "+ DRS", '`cam.fidelity="released"`', "40.0", "45.0", *["not run"] * 2, "20.0", "10.0"]
    assert lines(effects_table({"x": rows}))[2:] == [expected]
    assert effects_table({"x": []}) == "None yet."


def test_memory_of_table_ix():
    cost = {"metric": "peak memory", "variant": "ssc", "options": "ours", "value": 6.66, "setting": {"preset": "voc"}}
    other = cost | {"value": 1.0, "setting": {"preset": "small"}}
    assert lines(evidence_table(9, {}, [other, cost]))[-1][1:] == ["14.2", "not run", "6.7", "not run"]


def test_decoder_of_table_i_is_the_network_that_is_built():
    table = lines(evidence_table(1, {}))
    assert table[-1][-1] == "**4,631,811**" and table[-2][3] == "3 x 512 x 512"


# ---- the works


def entries() -> dict[str, dict[str, str]]:
    found = {}
    for key, body in re.findall(r"^@\w+\{(\w+),\n(.*?)\n\}", BIBLIOGRAPHY, flags=re.M | re.S):
        assert key not in found, f"{key} stands twice"
        found[key] = {
            name: " ".join(value.split()) for name, value in re.findall(r"(\w+)\s*=\s*\{(.*?)\},?(?:\n|$)", body, re.S)
        }
    return found


def test_every_work_has_what_a_reader_needs():
    works = entries()
    assert len(works) > 60
    for key, fields in works.items():
        assert {"author", "title", "year"} <= set(fields), key
        family = re.sub(
            r"[^a-z]", "", fields["author"].split(",")[0].lower().replace(r"{\"a}", "a").replace(r"{\"o}", "o")
        )
        assert re.match(rf"{family}{fields['year']}\w+$", key), f"{key}: {family}, {fields['year']}"
    titles = [re.sub(r"\W", "", fields["title"].lower()) for fields in works.values()]
    assert len(set(titles)) == len(titles)


def test_every_work_of_the_tables_is_in_the_bibliography_in_its_year():
    works, keys = entries(), paper.references()
    assert set(keys.values()) <= set(works) and len(set(keys.values())) == len(keys)
    for number in range(2, 7):
        for line in paper.load(number).query("not ours").to_dict("records"):
            if "list of references has none" not in line["note"]:
                # TMM 22 is a volume of 2023 that appeared online the year before.
                assert works[keys[line["citation"]]]["year"][2:] == line["venue"][-2:], line["method"]


def test_works_that_pages_cite_exist():
    root, works = Path(__file__).resolve().parents[2], entries()
    for page in [*root.glob("book/*.md"), *root.glob("notebooks/*.ipynb")]:
        for cited in re.findall(r"\{cite:\w+\}`([^`]+)`", page.read_text(encoding="utf-8")):
            assert {key.strip() for key in cited.split(",")} <= set(works), page.name
