"""What CONTRIBUTING, the picture of the house and the pages say of the package is so."""

import ast
import importlib
import json
import re
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from test_house import GROUND, ORDER

from sscnb.evidence.report import REFERENCE_SETS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
SVG = "{http://www.w3.org/2000/svg}"


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator():
    """The module that makes the book's pages of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "book")
        yield importlib.import_module("wing_pages")


@pytest.fixture(scope="module")
def pages(generator) -> dict[str, str]:
    return generator.wing_pages()


# ---- the house


def test_the_picture_shows_the_wings_from_the_top_floor_down():
    picture = ElementTree.parse(ROOT / "book/_static/house.svg").getroot()
    assert [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "wing"] == ORDER
    (told,) = [part.text for part in picture.iter(f"{SVG}desc")]
    assert re.search(": (.*?)\\. Below", told)[1].split(", ") == ORDER and picture.find(f"{SVG}title").text
    assert picture.get("aria-labelledby") == "house-title house-desc"


def test_the_picture_needs_nothing_from_elsewhere():
    assert re.findall(r"https?://[^\"' ]+", text_of("book/_static/house.svg")) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|@font-face|url\(|<image|href", text_of("book/_static/house.svg"))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "book/house.md"])
def test_the_table_of_wings_is_the_package(page):
    rows = re.findall(r"^\| \[?(?:`(\w+)`|the ground)", text_of(page), flags=re.M)
    assert rows == [*ORDER, ""] and "house.svg" in text_of(page)
    shown = re.search("alt[:=]\\W*Ten wings one above the other, (.*?);", text_of(page))[1]
    assert shown.replace(" and ", ", ").split(", ") == ORDER


def test_each_wing_may_import_what_is_below_it():
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(\w+)` and what is below \|$", text_of("CONTRIBUTING.md"), flags=re.M)
    assert rows == list(zip(ORDER[1:-1], ORDER[2:], strict=True))


def test_each_wing_has_its_page_in_the_book(pages):
    listed = re.findall(r"file: api/(\w+)", text_of("book/_toc.yml"))
    assert listed == [*ORDER, "ground"] and sorted(listed) == sorted(Path(n).stem for n in pages)


# ---- the pages of the package


@pytest.mark.parametrize("wing", ORDER)
def test_what_a_wing_hands_on_is_documented_once(pages, wing):
    page = pages[f"{wing}.md"]
    door = importlib.import_module(f"sscnb.{wing}")
    entries = re.findall(rf"^\.\. auto\w+:: sscnb\.{wing}\.(\w+)(?:\(\.\.\.\))?$", page, flags=re.M)
    entries += re.findall(rf"^\.\. py:data:: (\w+)\n   :module: sscnb\.{wing}$", page, flags=re.M)
    modules = [name for name in door.__all__ if isinstance(getattr(door, name), type(importlib))]
    assert sorted(entries) == sorted(set(door.__all__) - set(modules))
    for name in modules:
        assert f"sscnb.{wing}.{name}." in page


def test_fields_are_shown_with_what_is_said_of_them(pages):
    page = pages["settings.md"]
    assert ".. autoclass:: sscnb.settings.CAMSettings(...)" in page and "      delta: Share = 0.55  # Eq. 3\n" in page


def test_a_constant_is_shown_with_those_that_it_is_made_of(generator, tmp_path, monkeypatch):
    source = """_STEP = 2  # of both
_OTHER = 1
# Even numbers,
# few of them.
EVEN = range(0, 9, _STEP)
"""
    (tmp_path / "numbers.py").write_text(source)
    monkeypatch.setattr(generator, "PACKAGE", tmp_path)
    known = generator.definitions("sscnb.numbers")
    entry = generator._entry("EVEN", "sscnb.wing", known, beside={"EVEN": "sscnb.wing"})
    assert entry[:2] == [".. py:data:: EVEN", "   :module: sscnb.wing"]
    assert [line.strip() for line in entry[2:] if line.strip()] == [
        "Even numbers,",
        "few of them.",
        ".. code-block:: python",
        "_STEP = 2  # of both",
        "EVEN = range(0, 9, _STEP)",
    ]


@pytest.mark.parametrize("wing", ORDER)
def test_napoleon_takes_no_property_for_a_type(wing):
    """The first line of a property's docstring has no colon, before which a type would be looked for."""
    door = importlib.import_module(f"sscnb.{wing}")
    for name in door.__all__:
        for member in vars(getattr(door, name)).values() if isinstance(getattr(door, name), type) else ():
            if isinstance(member, property):
                assert ":" not in member.__doc__.splitlines()[0], f"{name}: {member.__doc__}"


# ---- names on pages


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page):
    folders = ("sscnb/", "book/", "notebooks/", "tests/", "benchmarks/")
    named = re.findall(
        r"(?<![\w./-])((?:sscnb|book|notebooks|tests|benchmarks)/[\w./*-]+)", page.read_text(encoding="utf-8")
    )
    for name in {name.rstrip(".") for name in named}:
        assert name.startswith(folders) and (list(ROOT.glob(name)) or is_a_pattern(name, page)), name


def is_a_pattern(name: str, page: Path) -> bool:
    """Tell whether the page goes on with a placeholder, as in tests/datasets/test_<name>.py."""
    return f"{name}<" in page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [textwrap.dedent(text) for _, text in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_code_on_a_page_imports_is_handed_on_and_used(page):
    nodes = [node for block in blocks(page, "python") for node in ast.walk(ast.parse(block))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in [node for node in nodes if isinstance(node, ast.ImportFrom)]:
        module = importlib.import_module(node.module)
        names = {alias.name for alias in node.names}
        assert names <= used and all(hasattr(module, name) for name in names), node.module
        if node.module.removeprefix("sscnb.") in ORDER and page.name != "CONTRIBUTING.md":
            assert names <= set(module.__all__), node.module
        else:
            wing_or_ground = node.module.split(".")[:1] != ["sscnb"] or node.module.removeprefix("sscnb.") in GROUND
            assert page.name == "CONTRIBUTING.md" or wing_or_ground, node.module


def test_code_on_a_page_begins_with_its_import_from_the_wing():
    pages = [path for path in PAGES if "## In code" in path.read_text(encoding="utf-8")]
    assert len(pages) >= 8
    for page in pages:
        code = page.read_text(encoding="utf-8").split("## In code")[1]
        wing = re.match(r"\s*```python\n(?:import .*\n)*\n?from sscnb\.(\w+) import ", code)
        assert wing and wing[1] in ORDER, page.name


# ---- code fits the column that it is read in

COLUMNS = 88
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(path: Path) -> list[str]:
    """The lines of a page's blocks of code, or of a notebook's cells of code."""
    if path.suffix == ".md":
        return [line for block in blocks(path, r"\w+") for line in block.splitlines()]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_code_fits_the_column(path):
    assert [line for line in code_of(path) if len(line) > COLUMNS] == []


def test_blocks_of_code_are_found():
    assert {".venv/bin/python -m sscnb doctor", "make setup"} <= set(code_of(ROOT / "book/scaling.md"))
    assert len(NOTEBOOKS) == 7 and all(code_of(path) for path in NOTEBOOKS)


# ---- code on pages runs, and what is written out is what the package does


WITH_CODE = [page.stem for page in PAGES if "## In code" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_on_a_page_runs_and_agrees_with_what_is_written_out(page):
    """The blocks run one after the other, as they stand: nothing is given to them."""
    torch.manual_seed(0)
    names: dict = {}
    code = text_of(f"book/{page}.md").split("## In code")[1].split("\n## ")[0]
    first, *written_out = re.findall(r"```python\n(.*?)```", code, flags=re.S)
    exec(first, names)
    for block in written_out:
        before = dict(names)
        exec(block, names)
        both = [name for name in before if names[name] is not before[name] and name != "__builtins__"]
        assert both
        for name in both:
            torch.testing.assert_close(names[name], before[name], msg=lambda said, name=name: f"{name}: {said}")


CHAPTERS = [
    path.stem
    for path in sorted((ROOT / "book").glob("*.md"))
    if re.match(r"# \d ", path.read_text(encoding="utf-8")) or path.stem in ("superpixels", "suppression")
]


@pytest.mark.parametrize("page", CHAPTERS)
def test_solutions_of_exercises_run(page):
    """Each chapter has one exercise or two, with a solution that is folded, stands alone and asserts what it says."""
    text = text_of(f"book/{page}.md").split("## Exercises")[1].split("\n## ")[0]
    solutions = re.findall(r"````\{dropdown\} Solution\n.*?```python\n(.*?)```\n````", text, flags=re.S)
    assert 1 <= len(solutions) <= 2 and len(solutions) == len(re.findall(r"^\*\*\d\.\*\* ", text, flags=re.M))
    for solution in solutions:
        assert "assert" in solution
        exec(solution, {})


def test_every_file_of_rows_says_what_makes_it():
    text = (ROOT / "book/reference_rows.md").read_text()
    made = {path.name for path in (ROOT / "book/results").glob("*.json")} - {f"{name}.json" for name in REFERENCE_SETS}
    assert set(re.findall(r"^\| `(\w+\.json)`", text, flags=re.M)) >= made


def test_every_chapter_has_exercises():
    assert len(CHAPTERS) == 9


@pytest.mark.parametrize("page", [path for path in PAGES if path.name != "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_commands_are_those_of_the_environment_that_make_sets_up(page):
    text = page.read_text(encoding="utf-8").replace("conda activate sscnb && pip install", "")
    assert not re.findall(r"(?<!\.venv/bin/)(?:python -m \w+ [\w-]|accelerate launch|torchrun )", text)
    assert not re.findall(r"(?<!\.venv/bin/python -m )pip install", text)
    assert "/data/VOC2012" not in text  # one path, the one that `data voc` ends with


def test_a_seed_is_a_mask_and_a_random_seed_is_a_number():
    """One word has one meaning; the README's results are made elsewhere."""
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES if page.name != "README.md"}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[path.name] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    numbers = r"\b(?:over|several|one|two|three|few|same|another|all|both|per|\d+) seeds?\b"
    numbers += r"|\bseed by seed|(?<!random )\bseed \d"
    for name, text in texts.items():
        assert not re.findall(numbers, text, flags=re.I), name
