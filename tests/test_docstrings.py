"""The examples in docstrings say what is true, and the paper's own pieces have one."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIECES = {
    "suppress",
    "class_activation",
    "region_mean",
    "erode",
    "pair_offsets",
    "random_walk",
    "ConfusionMatrix",
}


def examples() -> dict[str, tuple[str, str]]:
    """Every docstring of the package with an example, by the name it documents: its module and its text.

    Read off the source: doctest's own search passes over decorated functions, and would import every module.
    """
    found = {}
    for path in sorted((ROOT / "sscnb").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text and ">>>" in text:
                    found[getattr(node, "name", module)] = (module, text)
    return found


EXAMPLES = examples()


def failures(module: str, text: str, name: str) -> str:
    """What is wrong with a docstring's examples; nothing if they hold."""
    test = doctest.DocTestParser().get_doctest(text, vars(importlib.import_module(module)), name, None, None)
    assert test.examples
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_hold(name):
    module, text = EXAMPLES[name]
    assert not failures(module, text, name)


def test_the_papers_pieces_have_an_example():
    assert PIECES <= set(EXAMPLES)


def test_a_wrong_example_is_noticed():
    assert "Got:\n    3" in failures("math", ">>> floor(3.5)\n4", "floor")
