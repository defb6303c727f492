"""The whole chain at preset tiny, as `make book` runs it: stages, notebooks, book; then again, and gone wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from conftest import CRF, ENVIRONMENT, reproduce
from raw_keys import raw_keys

from sscnb.evidence.metrics import describe

ROOT = Path(__file__).resolve().parents[2]


def recorded(notebook: Path) -> dict[str, str]:
    """Return what an executed notebook recorded with glue, as text."""
    values = {}
    for cell in nbformat.read(notebook, 4).cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                values[name] = output["data"]["application/papermill.record/text/plain"]
    return values


@pytest.mark.slow
def test_the_landing_page_is_printed_last_and_is_there(book):
    folder, done = book
    assert done.stdout.splitlines()[-1] == str(folder / "build/html/index.html")
    assert (folder / "build/html/index.html").is_file()


@pytest.mark.slow
def test_notebooks_record_what_they_measured(book):
    run = book[0] / "run"
    data = recorded(run / "notebooks/01_data_preparation.ipynb")
    assert (int(data["images_train"]), int(data["images_val"]), int(data["classes"])) == (24, 8, 8)
    assert 1 < float(data["mean_regions"]) <= 64
    cam = recorded(run / "notebooks/02_cam_network_training.ipynb")
    seeds = json.loads((run / "cam/baseline/seed0/seeds/results.json").read_text())["rows"]
    miou = next(row["value"] for row in seeds if row["metric"] == "seed/mIoU")
    assert float(cam["baseline_mIoU"]) == pytest.approx(100 * miou, abs=0.051)
    assert int(recorded(run / "notebooks/03_reconstruction_analysis.ipynb")["reconstructions"]) == 1
    assert int(recorded(run / "notebooks/04_self_modulation_ablation.ipynb")["sweep_rows"]) == 16
    masks = recorded(run / "notebooks/05_irn_refinement.ipynb")
    rows = json.loads((run / f"irn/ssc/seed0/{CRF}/evaluation/results.json").read_text())["rows"]
    miou = next(row["value"] for row in rows if row["metric"] == "pseudo/mIoU")
    assert float(masks["pseudo_mIoU_ssc"]) == pytest.approx(100 * miou, abs=0.051) and CRF in masks["pseudo_crf"]
    report = json.loads((run / "report.json").read_text())
    assert int(recorded(run / "notebooks/07_evaluation.ipynb")["rows"]) <= len(report["rows"])


@pytest.mark.slow
def test_a_reader_sees_titles_and_not_the_keys_of_rows(book):
    assert len(list((book[0] / "run/notebooks").glob("*.ipynb"))) == 7
    for path in (book[0] / "run/notebooks").glob("*.ipynb"):
        outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
        shown = [output["data"] for output in outputs if output.output_type in ("display_data", "execute_result")]
        for text in (data[kind] for data in shown for kind in data if kind.startswith("text/")):
            assert not raw_keys(text), (path.name, text)
    for row in json.loads((book[0] / "run/report.json").read_text())["rows"]:
        assert describe(row["metric"]).title


@pytest.mark.slow
def test_every_row_says_where_it_comes_from(book):
    rows = json.loads((book[0] / "run/report.json").read_text())["rows"]
    for key in ("metric", "value", "preset", "config", "commit", "versions", "device", "seconds", "utc", "machine"):
        assert all(key in row for row in rows), key
    assert {row["variant"] for row in rows if row["metric"] == "seed/mIoU"} == {"baseline", "drs", "drs+cdr", "ssc"}


@pytest.mark.slow
def test_the_book_reads_offline(book):
    html = book[0] / "build/html"
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img)[^>]+src="(https?:[^"]+)"', text)
        loaded += re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(https?:[^"]+)"', text)
        assert not loaded, f"{page.name} loads {loaded[0]}"
        for source in re.findall(r'<img[^>]+src="([^":]+)"', text):
            assert (page.parent / source.split("?")[0]).is_file(), f"{page.name}: {source}"
    assert (html / "_static/tex-svg.js").is_file()
    size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    assert size < 40e6


@pytest.mark.slow
def test_the_landing_page_shows_this_run(book):
    text = (book[0] / "build/html/intro.html").read_text(encoding="utf-8")
    rows = json.loads((book[0] / "run/report.json").read_text())["rows"]
    value = next(r["value"] for r in rows if r["metric"] == "seed/mIoU" and r["variant"] == "ssc")
    assert f"{100 * value:.1f}" in text
    assert "48.3" in text and "58.3" in text  # the paper's baseline and full method, Table VII


@pytest.mark.slow
def test_a_second_call_has_nothing_to_do(book):
    folder = book[0]
    before = (folder / "run/notebooks/07_evaluation.ipynb").stat().st_mtime_ns
    again = reproduce(folder)
    assert again.returncode == 0
    assert (folder / "run/notebooks/07_evaluation.ipynb").stat().st_mtime_ns == before


@pytest.fixture
def copied(book, tmp_path) -> Path:
    """The finished run, to be changed; a folder that `reproduce` of conftest takes."""
    shutil.copytree(book[0] / "run", tmp_path / "run", symlinks=True)
    return tmp_path


@pytest.mark.slow
def test_what_is_missing_is_made_again_with_what_depends_on_it(copied):
    results = copied / f"run/irn/ssc/seed0/{CRF}"
    values = json.loads((results / "evaluation/results.json").read_text())["rows"]
    shutil.rmtree(results)
    before = {path.name: path.stat().st_mtime_ns for path in (copied / "run/notebooks").glob("*.ipynb")}
    done = reproduce(copied)
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads((results / "evaluation/results.json").read_text())["rows"]
    assert [(row["metric"], row["value"]) for row in again] == [(row["metric"], row["value"]) for row in values]
    after = {path.name: path.stat().st_mtime_ns for path in (copied / "run/notebooks").glob("*.ipynb")}
    assert {name[:2] for name in before if after[name] != before[name]} == {"05", "06", "07"}


@pytest.mark.slow
def test_changed_settings_of_what_is_there_are_refused(copied):
    words = ["--preset", "tiny", "--run-dir", str(copied / "run"), "--overrides"]
    changed = json.dumps({"irn.crf": CRF, "irn.epochs": 2, "segmentation.epochs": 2})
    command = [sys.executable, "-m", "sscnb", "reproduce", *words, changed]
    before = (copied / "run/reproduce.json").read_text()
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT)
    assert done.returncode == 2
    assert "irn.epochs 1 there, 2 here" in done.stderr and "segmentation.epochs 1 there, 2 here" in done.stderr
    assert (copied / "run/reproduce.json").read_text() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_asked_to_stop_stops_all_that_it_started(tmp_path, number):
    child = "import sys, time, os; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, {str(tmp_path / 'pid')!r}])"
    code = "import sys; from pathlib import Path; from sscnb.commands.reproduce import run_group; "
    code += f"print(run_group([sys.executable, '-c', {parent!r}], Path('.')))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    process.send_signal(number)
    assert process.communicate(timeout=30)[0].strip() == str(-number)
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # until it is reaped
            os.kill(int((tmp_path / "pid").read_text()), 0)
            time.sleep(0.05)


@pytest.mark.slow
def test_a_stale_notebook_fails_the_build(book, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(book[0] / "run", run, ignore=shutil.ignore_patterns("cam", "dataset", "superpixels"))
    path = run / "notebooks/02_cam_network_training.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[0].source += "\nanother sentence"
    nbformat.write(notebook, path)
    command = [sys.executable, str(ROOT / "book/build.py"), str(run), str(tmp_path / "build")]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode != 0
    assert "02_cam_network_training.ipynb is stale" in built.stderr


@pytest.mark.slow
def test_papermill_with_a_wrong_parameter_stops_and_names_the_right_one(tmp_path):
    source, output = ROOT / "notebooks/01_data_preparation.ipynb", tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(source), str(output), "--no-progress-bar", "-p", "preset", "tiny"]
    command += ["-p", "run_dir", str(tmp_path / "run"), "-p", "sed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode != 0
    assert "this notebook has no parameter 'sed'; did you mean 'seed'?" in done.stderr
    assert not (tmp_path / "run").exists()


def test_notebooks_are_stored_without_outputs_and_with_parameters():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code), path.name
        assert ["parameters"] in [cell.metadata.get("tags") for cell in code], path.name
        assert len(cells) <= 25, f"{path.name} has {len(cells)} cells"
