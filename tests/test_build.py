"""The book's build, but for the rendering: what it refuses, and the tables it writes."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from raw_keys import raw_keys

from sscnb import __version__
from sscnb.errors import UserError
from sscnb.evidence.report import write_report
from sscnb.files import write_json
from sscnb.stages.run import open_run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("book_build", ROOT / "book/build.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "book")  # as for a script: what it imports lies beside it
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


def test_the_cell_that_papermill_adds_is_kept_and_not_shown(build, pair):
    write_notebook(pair[1], executed=True)
    shown = pair[1].with_name("shown.ipynb")
    build.copy_notebook(pair[1], shown)
    tags = [[cell.metadata.get("tags", []) for cell in nbformat.read(path, 4).cells] for path in (pair[1], shown)]
    assert tags == [[[], ["injected-parameters"], []], [[], ["injected-parameters", "remove-cell"], []]]


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
    assert text.startswith("Preset `tiny`, the embedded scenes; ")
    lines = [line for line in text.splitlines() if line.startswith("| seeds")]
    rows = run.rows()
    assert len(lines) == 2 and all(f"| baseline | {seed} |" in line for seed, line in enumerate(lines))
    assert "a processor" in lines[0] and rows[0]["commit"] in lines[0] and rows[0]["config"] in lines[0]
    assert f"torch {rows[0]['versions']['torch']}" in text


def test_results_table_shows_this_run_beside_the_paper(build, run):
    text = build.generated(run.folder)["results.md"]
    assert "| baseline | 48.3 | 32.0 ± 2.8 |" in text
    assert "- this run: preset `tiny`, split train, 2 random seeds" in text


def test_no_table_shows_the_key_of_a_row(build, run):
    for name, text in build.generated(run.folder).items():
        assert not raw_keys(text), name


def test_captions_say_whose_pictures_they_stand_under(build, run):
    said = build.run_in_words(run.folder)
    only = "(which only checks that everything runs: its networks have learned next to nothing)"
    assert said == f"the generated scenes of preset `tiny` {only}, backbone efficientnet_lite0_relu"
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md"))
    captions = re.findall(r"```\{figure\} figures/.*?```", pages, flags=re.DOTALL)
    assert len(captions) >= 14 and all("{{ run }}" in caption for caption in captions)


def test_build_lays_out_pages_and_takes_the_exit_code(build, run, tmp_path, monkeypatch):
    calls = []

    def jupyter_book(words, **_):
        calls.append(words)
        if len(calls) > 1:
            sys.exit(1)
        html = tmp_path / "build/book/_build/html"
        (html / "_sources/notebooks").mkdir(parents=True)
        (html / "_static").mkdir()
        (html / "index.html").write_text("book")

    monkeypatch.setattr(build, "jupyter_book", jupyter_book)
    assert build.main(str(run.folder), str(tmp_path / "build")) == 0
    pages = tmp_path / "build/book"
    for name in (
        "_toc.yml",
        "_config.yml",
        "intro.md",
        "generated/run.md",
        "generated/results.md",
        "generated/table_9.md",
        "generated/threshold.html",
        "api/method.md",
        "api/ground.md",
        "notebooks/02_cam_network_training.ipynb",
    ):
        assert (pages / name).is_file(), name
    assert "of the generated scenes of preset `tiny`" in (pages / "cam.md").read_text()
    assert not [page.name for page in pages.glob("*.md") if "{{" in page.read_text()]
    assert not list(pages.glob("*.py")) and (tmp_path / "build/html/index.html").read_text() == "book"
    assert str(pages) in calls[0] and "-nW" in calls[0]
    assert build.main(str(run.folder), str(tmp_path / "build")) == 1
    assert not (tmp_path / "build/html").exists()  # no old book passes for a new one


@pytest.mark.parametrize(
    "code, ended", [(2, SystemExit(2)), (1, SystemExit("no")), (1, RuntimeError("an error in it"))]
)
def test_a_page_that_cannot_be_rendered_is_no_success(build, monkeypatch, capsys, code, ended):
    def jupyter_book(words, **_):
        raise ended

    monkeypatch.setattr(build, "jupyter_book", jupyter_book)
    assert build.render(ROOT) == code
    assert ("an error in it" in capsys.readouterr().err) == isinstance(ended, RuntimeError)


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


def test_every_part_that_a_page_includes_is_generated(build, run):
    parts, pictures = build.generated(run.folder), build.kept_figures()
    for page in (ROOT / "book").glob("*.md"):
        for name in re.findall(r"generated/([\w.]+)", page.read_text(encoding="utf-8")):
            assert name in pictures or parts.get(name, "").strip(), f"{page.name}: {name}"


def test_a_run_without_walk_and_images_to_try_says_so(build, run):
    assert "Not run" in build.walk_part(run.folder) and "Not run" in build.threshold_part(run.folder)


def test_the_walk_has_the_steps_that_the_run_has_pictures_of(build, run):
    (run.folder / "figures").mkdir()
    for name in ("walk_0", "walk_16", "walk_4", "walk_last", "walk"):
        (run.folder / f"figures/{name}.png").write_bytes(b"")
    assert list(build.walk_pictures(run.folder)) == [0, 4, 16]
    assert 'data-steps="0,4,16"' in build.walk_part(run.folder)


def test_names_in_the_data_of_the_slider_cannot_end_its_script(build, run):
    write_json(run.folder / "figures/explorer.json", {"title": "</script><b>"})
    part = build.threshold_part(run.folder)
    assert (
        part.count("</script>") == 1
        and json.loads(part.split(">", 2)[2].split("</script>")[0])["title"] == "</script><b>"
    )


def test_rendered_pages_are_mended_and_lighter(build, tmp_path):
    source = write_notebook(tmp_path / "notebooks/01.ipynb")
    html = tmp_path / "html"
    (html / "_static").mkdir(parents=True)
    (html / "_static/a.css.map").write_text("{}")
    write_notebook(html / "_sources/notebooks/01.ipynb", executed=True)
    thebe = '<script>const THEBE_JS_URL = "https://a.b/c.js"; const d = 1</script>'
    plain, deferred = (
        '<script src="../_static/tex-svg.js?v=1"></script>',
        '<script defer="defer" src="../_static/tex-svg.js"></script>',
    )
    (html / "_images").mkdir()
    Image.effect_noise((400, 400), 50).save(html / "_images/photo-1.png")
    Image.new("RGB", (9, 9)).save(html / "_images/dot.png")
    pictures = '<a href="../_images/photo-1.png"><img src="../_images/photo-1.png"></a><img src="_images/dot.png">'
    argument = '<em class="sig-param">x</em>,'
    listed = f"<dl><dt>f(<dl>\n<dd>{argument}</dd>\n<dd>{argument}</dd></dl>)</dt><dd>Said.</dd></dl>"
    page = f"<p>before</p>{thebe}{thebe}{deferred}{plain}{pictures}{listed}"
    (html / "page.html").write_text(page)
    build.polish(html, [source])
    pictures = pictures.replace("photo-1.png", "photo-1.webp")
    shown = f'<span class="argument">{argument}</span>'
    listed = f"<dl><dt>f(<span>\n{shown}\n{shown}</span>)</dt><dd>Said.</dd></dl>"
    assert (html / "page.html").read_text() == f"<p>before</p>{deferred}{pictures}{listed}"
    assert sorted(path.name for path in (html / "_images").iterdir()) == ["dot.png", "photo-1.webp"]
    with Image.open(html / "_images/photo-1.webp") as picture:
        assert picture.size == (400, 400)
    assert not (html / "_static/a.css.map").exists()
    assert (html / "_sources/notebooks/01.ipynb").read_bytes() == source.read_bytes()


def test_a_picture_that_the_run_lacks_is_said_to_be_missing(build, tmp_path):
    build.copy_figure(tmp_path / "none.png", tmp_path / "shown.png")
    with Image.open(tmp_path / "shown.png") as image:
        assert image.width > 100


def test_every_page_and_notebook_is_in_the_table_of_contents():
    listed = re.findall(r"(?:file|root): (\S+)", (ROOT / "book/_toc.yml").read_text(encoding="utf-8"))
    pages = [path.stem for path in (ROOT / "book").glob("*.md")]
    pages += [f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    pages += [f"api/{path.parent.name}" for path in (ROOT / "sscnb").glob("*/__init__.py")] + ["api/ground"]
    assert sorted(listed) == sorted(pages)


def test_the_counts_of_the_campaign(build, tmp_path):
    path = tmp_path / "campaign.json"
    assert build.campaign_table(path).split("\n\n")[:2] == ["Bad inputs: not run.", "Kills: not run."]
    origin = {"commit": "abc", "machine": "x86_64, 2 cores", "python": "3.11.7", "utc": "2026-01-02T03", "seconds": 600}
    kinds = {"submit": {"refused": 5, "silent": 1}, "mask": {"mended": 2}}
    again = [{"cases": 2, "commit": "def", "utc": ""}, {"cases": 1, "commit": "ghi", "utc": ""}]
    write_json(path, {"cases": {"kinds": kinds, "again": again, **origin}})
    text = build.campaign_table(path)
    assert "| submit | 6 | 5 | 0 | 0 | 0 | 1 |" in text and "| mask | 2 | 0 | 2 | 0 | 0 | 0 |" in text
    assert "8 cases. Commit `abc`" in text and "10 minutes" in text and "Kills: not run." in text
    assert "new since: 2 at `def`, 1 at `ghi`." in text
    kills = [{"command": "run"}, {"command": "reproduce"}, {"command": "run"}]
    write_json(path, {"kills": {"kills": kills, "differ": 0, "others": {"a": True, "b": False}, **origin}})
    text = build.campaign_table(path)
    assert "3 kills (2 of `run`, 1 of `reproduce`)" in text and "0 runs ended otherwise" in text and "1 of 2 as" in text


def test_how_to_cite(build):
    text = build.citation(ROOT)
    database = pytest.importorskip("pybtex.database")
    entries = database.parse_string(text.split("```bibtex\n")[1].split("```")[0], "bibtex").entries
    assert set(entries) == {"chen2024ssc", "sscnb"} and "url" not in entries["sscnb"].fields
    assert entries["sscnb"].fields["note"] == f"Version {__version__}" and "SSC-NB" in entries["sscnb"].fields["title"]


def test_buttons_come_with_the_address(build, tmp_path):
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert build.configuration(ROOT / "_config.yml") == text and not yaml.safe_load(text)["repository"]["url"]
    path = tmp_path / "_config.yml"
    path.write_text(text.replace('url: ""', "url: https://forge.example/a/b"))
    settings = yaml.safe_load(build.configuration(path))
    assert settings["html"]["use_repository_button"] and settings["html"]["use_issues_button"]
    assert settings["launch_buttons"] == {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
    before = yaml.safe_load(text)
    assert settings["sphinx"] == before["sphinx"] and settings["repository"]["branch"] == "main"
