"""The files around the package: one set of bounds for pip and conda, and a Makefile that does what it says."""

import json
import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sscnb
from sscnb.networks.hed import HED_PACKAGE, HED_VERSION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# A conda match spec with bounds as we write them: a name, then comparisons joined by commas and no spaces among them.
BOUND = r"(?:>=|<)\d+(?:\.\d+)*"
CONDA_SPEC = re.compile(rf"(?P<name>[a-z0-9][a-z0-9._-]*)(?: (?P<bounds>{BOUND}(?:,{BOUND})*))?")
PYTEST = "-m pytest -n 2 --dist loadgroup --no-loadscope-reorder"
CONDA_NAMES = {"pytorch-cpu": "torch", "py-opencv": "opencv-python-headless"}


def requirements(*extras: str) -> dict[str, Requirement]:
    lines = PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in found}


def pins() -> dict[str, Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    assert len(found) == len({canonicalize_name(r.name) for r in found}), "a package is pinned twice"
    return {canonicalize_name(r.name): r for r in found}


# ---- bounds


def test_every_requirement_is_bounded_on_both_sides():
    assert PROJECT["requires-python"] == ">=3.11"
    assert set(EXTRAS) == {"book", "crf", "hed", "coco", "test"}
    for name, requirement in requirements(*EXTRAS).items():
        assert {s.operator for s in requirement.specifier} == {">=", "<"}, name


def test_environment_has_the_same_bounds():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"][0] == "conda-forge"
    entries = environment["dependencies"]
    (section,) = [e for e in entries if isinstance(e, dict)]
    assert list(section) == ["pip"]

    found = {}
    for entry in entries:
        if isinstance(entry, dict):
            continue
        spec = CONDA_SPEC.fullmatch(entry)
        assert spec, f"not a conda match spec: {entry!r}"
        name = CONDA_NAMES.get(spec["name"], spec["name"])
        assert name not in found, f"{name} stands twice"
        found[name] = Requirement(name + (spec["bounds"] or "")).specifier
    assert str(found.pop("python")) == PROJECT["requires-python"]
    assert not found.pop("pip")  # any version

    for line in section["pip"]:
        requirement = Requirement(line)
        assert requirement.name not in found, f"{requirement.name} stands twice"
        found[requirement.name] = requirement.specifier

    # Without crf: it needs a compiler, which no environment file can promise.
    assert found == {name: r.specifier for name, r in requirements("book", "coco", "hed", "test").items()}


@pytest.mark.parametrize("entry", ["torch==2.4 extra words", "torch >= 2.4", "torch >=2.4, <3", "torch>2.4|<3", "-e ."])
def test_the_spec_pattern_refuses_what_conda_would_misread(entry):
    assert not CONDA_SPEC.fullmatch(entry)


def test_tested_versions_cover_every_requirement_and_lie_in_its_range():
    wanted = requirements(*EXTRAS)
    pinned = pins()
    assert set(wanted) <= set(pinned)
    for name, pin in pinned.items():
        (exact,) = pin.specifier
        assert exact.operator == "==" and "*" not in exact.version and Version(exact.version).local is None, name
        if name in wanted:
            assert wanted[name].specifier.contains(exact.version), name
        # A build for another device (torch's "+cpu") is the same version.
        assert pin.specifier.contains(exact.version + "+cpu"), name


def test_no_pin_is_of_one_platform():
    assert not [name for name in pins() if name.startswith(("nvidia", "cuda", "triton", "intel", "mkl"))]


# ---- the Makefile, with a stand-in for Python that writes down what it is asked


STAND_IN = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  "--version") echo "Python {version}"; exit 0 ;;
  *version_info*) {old} ;;
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 0 ;;
  *"[crf]"*) exit {crf} ;;
  "-m pip install"*) exit {pip} ;;
  *require_crf*) exit {crf} ;;
  "-m sscnb reproduce"*) echo "_build/html/index.html" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(clone: Path, *arguments: str, version="3.11.0", crf=0, pip=0, path=None):
    """Run make in `clone`; return the finished process and the calls that Python got."""
    log = clone / "calls.log"
    log.unlink(missing_ok=True)
    python = clone / "python"
    text = STAND_IN.format(log=log, version=version, old="exit 1" if version < "3.11" else "exit 0", crf=crf, pip=pip)
    for place in (python, clone / ".venv/bin/python"):
        if place is python or place.exists():
            place.write_text(text)
            place.chmod(0o755)
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(clone)}
    if not any(a.startswith("PYTHON=") for a in arguments):
        environment["PATH"] = f"{clone / 'bin'}:{environment['PATH']}"
        (clone / "bin").mkdir(exist_ok=True)
        shutil.copy(python, clone / "bin/python3")
    command = [shutil.which("make"), *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    return done, log.read_text().splitlines() if log.exists() else []


def test_targets_are_verbs_only():
    targets = re.findall(r"^([A-Za-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    assert targets == ["setup", "book", "test", "campaign", "lint", "clean"]


def test_sets_itself_up_once_with_the_tested_versions(clone):
    done, calls = make(clone, "test")
    assert done.returncode == 0, done.stderr
    assert calls[-1] == PYTEST
    assert "-m venv --clear .venv" in calls
    installs = [c for c in calls if c.startswith("-m pip install")]
    assert installs and all("-c constraints.txt" in c for c in installs)
    assert ".[book,coco,hed,test]" in installs[0]
    assert f"--no-deps {HED_PACKAGE}=={HED_VERSION}" in installs[1]  # it asks for TensorFlow

    done, calls = make(clone, "test")
    assert calls == [PYTEST]

    os.utime(clone / "constraints.txt", (4e9, 4e9))
    done, calls = make(clone, "lint")
    assert any("pip install" in c for c in calls) and not any("venv" in c for c in calls)
    assert calls[-2:] == ["-m ruff check .", "-m mypy"]


def test_setup_alone_says_how_to_go_on(clone):
    done, calls = make(clone, "setup")
    assert done.returncode == 0 and any("pip install" in c for c in calls)
    assert done.stdout.splitlines()[-1].startswith("Ready.")
    again, calls = make(clone, "setup")
    assert calls == [] and again.stdout == done.stdout.splitlines()[-1] + "\n"
    assert "Ready." not in make(clone, "test")[0].stdout


def test_goes_without_the_tested_versions(clone):
    (clone / "constraints.txt").unlink()
    done, calls = make(clone, "test", "CONSTRAINTS=")
    assert done.returncode == 0, done.stderr
    assert not any(" -c " in c for c in calls if "pip install" in c)


def test_book_prints_the_landing_page_last(clone):
    done, calls = make(clone, "book")
    assert calls[-1] == "-m sscnb reproduce --preset small --run-dir runs/small --book"
    assert done.stdout.splitlines()[-1] == "_build/html/index.html"
    assert make(clone, "book", "PRESET=tiny", "RUN=runs/mine")[1][1:] == [
        "-m sscnb reproduce --preset tiny --run-dir runs/mine --book"
    ]


def test_book_of_a_run_folder_leaves_the_preset_to_the_folder(clone):
    assert make(clone, "book", "RUN=runs/voc")[1][-1] == "-m sscnb reproduce --run-dir runs/voc --book"


def test_book_goes_without_a_dense_crf_and_says_so(clone):
    done, calls = make(clone, "book", crf=1)
    assert done.returncode == 0, done.stderr
    assert calls[-1] == '-m sscnb reproduce --preset small --run-dir runs/small --book --overrides {"irn.crf": "none"}'
    assert "No dense CRF here" in done.stdout and "irn.crf=none" in done.stdout


def test_failures_are_passed_on_and_a_failed_installation_is_tried_again(clone):
    done, calls = make(clone, "test", pip=1)
    assert done.returncode != 0
    assert PYTEST not in calls
    assert not (clone / ".venv/.installed").exists()
    done, calls = make(clone, "test")
    assert done.returncode == 0 and any("pip install" in c for c in calls)


def test_an_old_interpreter_is_refused_with_a_way_out(clone):
    done, _ = make(clone, "lint", "PYTHON=./python", version="3.10.9")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr and "Python 3.10.9" in done.stderr
    assert "make lint PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_an_interpreter_that_is_not_there_is_refused(clone):
    done, _ = make(clone, "test", "PYTHON=./nowhere")
    assert done.returncode != 0 and "./nowhere" in done.stderr and not (clone / ".venv").exists()


def test_another_interpreter_makes_the_environment_anew(clone):
    make(clone, "test")
    done, calls = make(clone, "test", "PYTHON=./python")
    assert "-m venv --clear .venv" in calls, done.stderr
    assert make(clone, "test", "PYTHON=./python")[1] == [PYTEST]
    assert make(clone, "test")[1] == [PYTEST]  # what was asked for stays


def test_a_dense_crf_that_cannot_be_built_is_no_failure(clone):
    compiler = clone / "bin/c++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    done, calls = make(clone, "test", crf=1)
    assert done.returncode == 0 and any("[crf]" in c for c in calls)
    assert "Dense CRF not installed" in done.stdout and "crf=none" in done.stdout
    assert calls[-1] == PYTEST


def test_no_compiler_no_attempt_at_a_dense_crf(clone, tmp_path_factory):
    bare = tmp_path_factory.mktemp("bare")
    for tool in ("sh", "cat", "cp", "mkdir", "rm", "touch", "find", "echo", "test"):
        if found := shutil.which(tool):
            (bare / tool).symlink_to(found)
    done, calls = make(clone, "test", path=str(bare))
    assert done.returncode == 0, done.stderr
    assert not any("[crf]" in c for c in calls)
    assert "no C++ compiler" in done.stdout


def test_clean_leaves_runs_and_the_environment(clone):
    kept = ["runs/small/report.json", "runs/small/__pycache__/x", ".venv/lib/__pycache__/x", "sscnb/code.py"]
    gone = ["_build/html/index.html", "sscnb/__pycache__/x.pyc", "a b/__pycache__/x.pyc", ".ruff_cache/x"]
    gone += [".mypy_cache/x"]
    for name in kept + gone:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    done, _ = make(clone, "clean")
    assert done.returncode == 0, done.stderr
    assert [n for n in kept + gone if (clone / n).exists()] == kept


# ---- the rest


def test_ci_runs_make_test_from_anywhere(tmp_path):
    (tmp_path / "make").write_text('#!/bin/sh\necho "$PWD: $*"\n')
    (tmp_path / "chromedriver").write_text("#!/bin/sh\n")  # else it would be installed
    for name in ("make", "chromedriver"):
        (tmp_path / name).chmod(0o755)
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run([script], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{ROOT.resolve()}: test"


@pytest.mark.parametrize(("name", "commands"), [("test", ["make lint", "make test"]), ("book", ["make book"])])
def test_workflows_call_the_same_commands(name, commands):
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == commands
    for step in steps:
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_several_processes_know_which_tests_belong_together(request):
    alone = not hasattr(request.config, "workerinput")
    assert alone or request.node.nodeid.endswith(f"@{Path(__file__)}")  # else each builds the book for itself


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == sscnb.__version__
    paper = citation["preferred-citation"]
    assert paper["doi"] == "10.1109/TIP.2024.3359041"
    assert [a["family-names"] for a in paper["authors"]] == ["Chen", "Yao", "Huang", "Li", "Nie", "Tang"]


def test_references_parse_and_agree_with_the_citation():
    database = pytest.importorskip("pybtex.database")
    entries = database.parse_file(str(ROOT / "book/references.bib")).entries  # raises on a repeated key
    for key, entry in entries.items():
        assert entry.fields.get("title") and entry.fields.get("year") and entry.persons.get("author"), key
        assert re.fullmatch(r"[a-z]+\d{4}[a-z0-9]+", key) and entry.fields["year"] in key
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    paper = entries["chen2024ssc"]
    assert (paper.fields["doi"], paper.fields["title"]) == (citation["doi"], citation["title"])
    assert [str(p) for p in paper.persons["author"]] == [
        f"{a['family-names']}, {a['given-names']}" for a in citation["authors"]
    ]


def test_the_container_is_set_up_as_a_clone_is():
    lines = (ROOT / "Containerfile").read_text().splitlines()
    steps = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert [step for step, _ in steps] == ["FROM", "RUN", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"]
    told = [value for _, value in steps]
    image, version = re.fullmatch(r"(\w+):([\d.]+)-slim", told[0]).groups()  # a plain name, no address
    assert image == "python" and Requirement(f"x{PROJECT['requires-python']}").specifier.contains(version)
    assert {"g++", "git", "make"} <= set(told[1].split()) and "make setup" in told[4]
    assert json.loads(told[5]) == [f"{told[2]}/.venv/bin/python", "-m", "sscnb"]
    assert json.loads(told[6]) == ["doctor"] and (ROOT / ".dockerignore").read_text().count("\n.venv\n") == 1


def test_the_changes_begin_with_what_is_unreleased_and_have_this_version():
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[0] == "Unreleased" and heads[1] == sscnb.__version__


@pytest.mark.parametrize("path", ["runs/small/cam/x.png", "_build/html/a.png", ".venv/x", "sscnb/__pycache__/x.pyc"])
def test_outputs_are_never_committed(path):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git clone")
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0
