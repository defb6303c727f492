"""Notebooks: what each does first finds the run and refuses a parameter that nothing reads; and each is thin."""

import ast
import os
from pathlib import Path

import nbformat
import numpy
import pytest

from sscnb.errors import UserError
from sscnb.settings.config import load_config
from sscnb.stages.notebook import PARAMETERS, begin

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = 16  # lines of code in a cell: what is longer belongs to a stage or to sscnb.evidence


@pytest.fixture
def names(tmp_path):
    """A notebook's globals: IPython's own names, the parameters, imports."""
    own = {"__name__": "__main__", "_": "", "_i1": "x = 1", "_dh": ["/"], "In": ["", "x = 1"], "Out": {}}
    own |= {"exit": exit, "quit": quit, "open": open, "get_ipython": lambda: None}
    parameters = {"preset": "tiny", "run_dir": str(tmp_path / "run"), "data_root": "", "seed": 2, "overrides": {}}
    return own | parameters | {"np": numpy, "begin": begin, "load_config": load_config, "Path": Path}


def test_the_run_of_the_parameters(names, tmp_path, capsys):
    names["overrides"] = {"cam.epochs": 7}
    run = begin(names)
    assert run.folder == tmp_path / "run" and run.seed == 2 and run.config == load_config("tiny", {"cam.epochs": 7})
    assert capsys.readouterr().out == f"run folder: {tmp_path / 'run'}\npreset tiny, random seed 2\n"


def test_the_folder_is_the_same_wherever_the_kernel_runs(names, tmp_path, monkeypatch, capsys):
    names["run_dir"] = os.path.relpath(tmp_path / "run", ROOT)
    for current in (ROOT, ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(current)
        assert begin(names).folder == tmp_path / "run"
    assert capsys.readouterr().out.count(str(tmp_path / "run")) == 3


@pytest.mark.parametrize(
    ("name", "value", "offered"),
    [
        ("presett", "tiny", "did you mean 'preset'?"),
        ("rundir", "x", "'run_dir'"),
        ("override", {"cam.epochs": 2}, "did you mean 'overrides'?"),
        ("sed", 3, "'seed'"),
        ("epochs", 3, "valid are 'preset', 'run_dir', 'data_root', 'seed', 'overrides'."),
        ("flag", None, "valid are"),
    ],
)
def test_an_unknown_parameter_is_refused_before_anything_is_written(names, tmp_path, name, value, offered):
    with pytest.raises(UserError) as caught:
        begin(names | {name: value})
    assert f"this notebook has no parameter {name!r}" in str(caught.value) and offered in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_notebooks_own_parameters(names):
    assert begin(names | {"variant": "drs"}, extra=["variant"]).seed == 2
    with pytest.raises(UserError, match="'variants'; did you mean 'variant'"):
        begin(names | {"variants": "drs"}, extra=["variant"])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("preset", "tinny", "'tinny'"),
        ("preset", 3, "there is no preset 3"),
        ("run_dir", 2026, "run_dir must be a path"),
        ("seed", "one", "'one'"),
        ("overrides", "cam.epochs=2", "overrides must be a dict"),
        ("overrides", {"cam.epoch": 2}, "'cam.epoch'"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_written(names, tmp_path, name, value, expected):
    with pytest.raises(UserError) as caught:
        begin(names | {name: value})
    assert expected in str(caught.value) and not (tmp_path / "run").exists()


def test_the_cell_may_be_run_again(names):
    names["run"] = begin(names)
    names |= {"rows": [1, 2], "variant": "drs", "seed": 5}  # what later cells assign, and a parameter changed by hand
    assert begin(names).seed == 5


def test_missing_parameters_take_their_defaults(names):
    assert (
        begin({name: value for name, value in names.items() if name not in ("seed", "overrides", "data_root")}).seed
        == 0
    )
    assert set(PARAMETERS) == {"preset", "run_dir", "data_root", "seed", "overrides"}


def lines_of_code(source: str) -> int:
    """Count the lines of a cell that are not empty and belong to no import."""
    imports = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) for number, line in lines if number not in imports)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin(path):
    cells = nbformat.read(path, 4).cells
    code = {cell.id: lines_of_code(cell.source) for cell in cells if cell.cell_type == "code"}
    assert code and {name: lines for name, lines in code.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_second_cell_has_the_parameters(path):
    cells = nbformat.read(path, 4).cells
    tagged = [place for place, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [1] and cells[1].cell_type == "code"
    names = {}
    exec(cells[1].source, names)
    assert set(PARAMETERS) == {name for name in names if not name.startswith("_")}


def test_imports_and_empty_lines_are_no_code():
    assert lines_of_code("from a import (\n    b,\n    c,\n)\nimport d\n\nx = b(\n    c\n)\n# why\n") == 4
