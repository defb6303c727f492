"""The book's build, but for the rendering: what it refuses, and the tables it writes."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sscnb.errors import UserError
from sscnb.report import write_report
from sscnb.run import open_run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("book_build", ROOT / "book/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_notebook(path: Path, *, code="x = 1", executed=False, error=False) -> Path:
    cells = [new_markdown_cell("# Title"), new_code_cell(code)]
    if executed:
        cells[1].outputs = [new_output("stream", text="done")]
        cells[1].execution_count = 2
        injected = new_code_cell("preset = 'tiny'")
        injected.metadata["tags"] = ["injected-parameters"]
        cells.insert(1, injected)
    if error:
        cells[-1].outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def pair(tmp_path):
    return write_notebook(tmp_path / "notebooks/01.ipynb"), tmp_path / "run/notebooks/01.ipynb"


def refusal(build, source, executed) -> str:
    with pytest.raises(UserError) as caught:
        build.check_current(source, executed)
    assert str(executed) in str(caught.value) and "make book" in str(caught.value)
    return str(caught.value)


def test_an_executed_notebook_is_current(build, pair):
    source, executed = pair
    write_notebook(executed, executed=True)
    build.check_current(source, executed)


def test_a_notebook_that_was_not_executed(build, pair):
    assert "is missing" in refusal(build, *pair)


@pytest.mark.parametrize("code", ["x = 2", "x = 1 "])
def test_a_stale_notebook(build, pair, code):
    write_notebook(pair[1], code=code, executed=True)
    assert f"is stale: it was executed from another version of {pair[0]}" in refusal(build, *pair)


def test_a_notebook_that_lost_a_cell(build, pair):
    notebook = nbformat.read(write_notebook(pair[1], executed=True), 4)
    notebook.cells.pop()
    nbformat.write(notebook, pair[1])
    assert "is stale" in refusal(build, *pair)


def test_a_notebook_with_an_error(build, pair):
    write_notebook(pair[1], executed=True, error=True)
    assert "ends in an error" in refusal(build, *pair)


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_damaged_notebook(build, pair, content):
    pair[1].parent.mkdir(parents=True)
    pair[1].write_text(content)
    assert "is no notebook" in refusal(build, *pair)


@pytest.fixture
def run(tmp_path):
    """A run with one measured stage and all notebooks executed."""
    run = open_run("tiny", run_dir=str(tmp_path / "run"))
    for seed, value in enumerate([0.30, 0.34]):
        folder = run.cam_folder("baseline", seed) / "seeds"
        stage = run.stage(folder, "seeds", {"seed": seed}, variant="baseline", seed=seed, split="train", threshold=0.2)
        stage.begin()
        stage.finish({"seed/mIoU": value}, device="a processor")
    write_report(run)
    for source in (ROOT / "notebooks").glob("*.ipynb"):
        executed = run.folder / "notebooks" / source.name
        executed.parent.mkdir(exist_ok=True)
        executed.write_bytes(source.read_bytes())
    return run


def test_page_of_what_ran(build, run):
    text = build.run_table(run.folder)
    assert text.startswith("Preset `tiny`, the embedded scenes.")
    lines = [line for line in text.splitlines() if line.startswith("| seeds")]
    rows = run.rows()
    assert len(lines) == 2 and all(f"| baseline | {seed} |" in line for seed, line in enumerate(lines))
    assert "a processor" in lines[0] and rows[0]["commit"] in lines[0] and rows[0]["config"] in lines[0]
    assert f"torch {rows[0]['versions']['torch']}" in text


def test_results_table_shows_this_run_beside_the_paper(build, run):
    text = build.results_table(run.folder)
    assert "| baseline | 48.3 | 32.0 ± 2.8 |" in text and "- this run: preset `tiny`, split train, 2 seeds" in text


def test_build_lays_out_pages_and_takes_the_exit_code(build, run, tmp_path, monkeypatch):
    calls = []

    def render(command, **options):
        calls.append(command)
        if len(calls) > 1:
            return subprocess.CompletedProcess(command, 1)
        html = tmp_path / "build/book/_build/html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("book")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(build.subprocess, "run", render)
    assert build.main(str(run.folder), str(tmp_path / "build")) == 0
    pages = tmp_path / "build/book"
    for name in (
        "_toc.yml",
        "_config.yml",
        "intro.md",
        "run.md",
        "results.md",
        "notebooks/02_cam_network_training.ipynb",
    ):
        assert (pages / name).is_file(), name
    assert not list(pages.glob("*.py")) and (tmp_path / "build/html/index.html").read_text() == "book"
    assert str(pages) in calls[0] and "-nW" in calls[0]
    assert build.main(str(run.folder), str(tmp_path / "build")) == 1
    assert not (tmp_path / "build/html").exists()  # no old book passes for a new one


def test_a_notebook_that_is_missing_leaves_the_earlier_book(build, run, tmp_path):
    (tmp_path / "build/html").mkdir(parents=True)
    (tmp_path / "build/html/index.html").write_text("earlier")
    (run.folder / "notebooks/02_cam_network_training.ipynb").unlink()
    command = [sys.executable, ROOT / "book/build.py", run.folder, tmp_path / "build"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "02_cam_network_training.ipynb is missing" in done.stderr
    assert (tmp_path / "build/html/index.html").read_text() == "earlier"


def test_a_run_without_a_report(build, run):
    (run.folder / "report.json").unlink()
    with pytest.raises(UserError, match="report.json is missing"):
        build.run_table(run.folder)
