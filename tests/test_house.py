"""The house: floors, doors and sizes, read off the imports."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the top floor down; no import runs up.
FLOORS = {
    "commands": "what a person types",
    "evidence": "from result rows to pages",
    "stages": "one function a stage",
    "segmentation": "chapter 6",
    "refinement": "chapter 5",
    "method": "chapters 2 to 4: Section III of the paper",
    "evaluation": "chapter 7",
    "networks": "what every network shares",
    "settings": "every value in one place",
    "datasets": "one data format",
}
GROUND = ("files", "locks", "parallel", "ranks", "gpus", "errors")
ORDER = list(FLOORS)
MODULES = sorted((ROOT / "sscnb").rglob("*.py"))


def wing(parts: list[str]) -> str:
    """The wing of a module's dotted name, or "" on the ground."""
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


def dotted(path: Path) -> list[str]:
    return list(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """Every import of the package in a file, wherever it stands: module, names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names if alias.name.split(".")[0] == "sscnb"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if node.module and node.module.split(".")[0] == "sscnb":
                found.append((node.module, [alias.name for alias in node.names]))
    return found


def test_every_module_has_its_place():
    """A wing, or the ground: nothing else lies in the package."""
    allowed = {*FLOORS, *GROUND, "__init__", "__main__"}
    assert {dotted(path)[1] for path in MODULES} == allowed


def complaints(path: Path, parts: list[str]) -> list[str]:
    """What is wrong with the imports of one module."""
    here, wrong = wing(parts), []
    for module, names in imports(path):
        there = wing(module.split("."))
        if parts[1] in GROUND and there:
            wrong.append(f"{'.'.join(parts)} is on the ground and imports {module}")
        if not here or not there or here == there:
            continue
        if ORDER.index(there) < ORDER.index(here):
            wrong.append(f"{'.'.join(parts)} imports {module}, a floor above")
        if not (ROOT / module.replace(".", "/") / "__init__.py").is_file():
            wrong.append(f"{'.'.join(parts)} goes past the door of {there}: {module}")
            continue
        handed_on = importlib.import_module(module).__all__
        wrong += [f"{module} does not hand on {name}" for name in names if name not in handed_on]
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(dotted(path)))
def test_no_import_runs_up_and_wings_are_entered_by_their_doors(path):
    assert complaints(path, dotted(path)) == []


def test_a_wrong_import_is_noticed(tmp_path):
    lines = ["stages import Run", "networks.weights import load", "settings import hidden", "settings import Config"]
    (tmp_path / "a.py").write_text("".join(f"from sscnb.{line}\n" for line in lines))
    above, past, hidden = complaints(tmp_path / "a.py", ["sscnb", "method", "a"])
    assert "a floor above" in above and "past the door" in past and "hidden" in hidden


@pytest.mark.parametrize("name", ORDER)
def test_what_a_wing_hands_on_is_there_and_says_what_it_is(name):
    package = importlib.import_module(f"sscnb.{name}")
    assert package.__doc__ and package.__all__ == list(dict.fromkeys(package.__all__))
    for exported in package.__all__:
        thing = getattr(package, exported)
        if callable(thing):
            assert thing.__doc__, f"{name}.{exported}"


@pytest.mark.parametrize("name", ["sscnb.datasets", "sscnb.settings", "sscnb.commands"])
def test_what_needs_no_network_does_not_wait_for_torch(name):
    code = f"import sys, {name}; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(dotted(path)))
def test_files_and_functions_can_be_held_in_mind(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 260
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
