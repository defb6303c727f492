"""What every notebook does first: the run folder is found, and a parameter that nothing reads is refused."""

import os
from pathlib import Path

import numpy
import pytest

from sscnb.errors import UserError
from sscnb.settings.config import load_config
from sscnb.stages.notebook import PARAMETERS, begin

ROOT = Path(__file__).resolve().parents[2]


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
    assert capsys.readouterr().out == f"run folder: {tmp_path / 'run'}\npreset tiny, seed 2\n"


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
