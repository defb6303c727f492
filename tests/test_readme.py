"""What the README promises holds: its table is made of result rows, its commands and files exist."""

import re
from pathlib import Path
from statistics import fmean

import pytest
from readme_parts import readme_parts

from sscnb.evidence import reference_rows
from sscnb.stages import open_run

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["words", "results", "claims"])
def test_what_it_says_of_results_is_made_of_the_rows_that_are_kept(name):
    shown = README.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip()
    assert shown == readme_parts()[name].strip()


@pytest.mark.parametrize(
    ("page", "title"),
    [("README.md", "VOC photographs"), ("README.md", "generated scenes"), ("book/limits.md", "VOC photographs")],
)
def test_where_a_baseline_stands_is_what_the_rows_say(page, title):
    rows = [row for row in reference_rows()[title] if row.get("variant") == "baseline"]
    over, under = (fmean(row["value"] for row in rows if row["metric"] == f"seed/{name}") for name in ("over", "under"))
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert f"over-activation {100 * over:.1f} %, under-activation {100 * under:.1f} %" in text


def test_the_first_screen_has_a_sentence_a_picture_and_two_commands():
    first = "\n".join(README.splitlines()[:12])
    picture = re.search(r"!\[[^\]]+\]\(([^)]+)\)", first)
    assert picture and (ROOT / picture.group(1)).is_file()
    assert "make book" in first and "make test" in first


def test_make_knows_the_verbs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in set(re.findall(r"`?make ([a-z]+)`?", README)) - {"is"}:
        assert re.search(rf"^{verb}:", makefile, flags=re.M), verb


def test_notebooks_and_files_that_are_named_exist():
    notebooks = re.findall(r"`?(notebooks/\w+\.ipynb)", README)
    for name in notebooks + re.findall(r"`(sscnb/[\w/]+\.py|CITATION\.cff)`", README):
        assert (ROOT / name).is_file(), name


def test_the_masks_lie_where_it_says(photographs):
    run = open_run("folder", "runs/mine", data_root=str(photographs))
    (variant,) = run.config.variants
    for folder in (run.segmentation_folder(variant) / "predictions", run.irn_folder(variant) / "pseudo_masks"):
        assert f"`{folder.relative_to(ROOT)}/`" in README
