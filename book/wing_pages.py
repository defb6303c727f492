"""The pages that say what each wing of the package hands on, made from the `__all__` of the wings and the source.

Sphinx's autodoc fills in signatures and docstrings. Fields and constants are shown as they stand in the source: what
they are is told by the comments beside them, which autodoc does not read.
"""

import ast
import importlib
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from sscnb.errors import UserError

PACKAGE = Path(importlib.import_module("sscnb").__file__).parent
Name = dict[str, str]  # a public name, and the module that it is imported from


@dataclass(frozen=True)
class Definition:
    """A class, a function or an assignment, and the lines of the file that it stands in."""

    node: ast.stmt
    lines: list[str]

    def comment(self) -> list[str]:
        """Return the comment right above, without its signs."""
        first = self.node.lineno - 1
        while first and self.lines[first - 1].startswith("#"):
            first -= 1
        return [line.lstrip("# ") for line in self.lines[first : self.node.lineno - 1]]

    def source(self) -> list[str]:
        """Return the lines of an assignment, with what is said at their end."""
        return self.lines[self.node.lineno - 1 : self.node.end_lineno]

    def uses(self, name: str) -> bool:
        """Tell whether a name stands in it."""
        return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(self.node))

    def fields(self) -> list[str]:
        """Return the lines of a class's annotated fields, with their comments; none where it has no fields."""
        fields = [part for part in self.node.body if isinstance(part, ast.AnnAssign)]
        if not fields:
            return []
        lines = self.lines[fields[0].lineno - 1 : fields[-1].end_lineno]
        return [line[fields[0].col_offset :] for line in lines if not line.lstrip().startswith("_")]


def wing_names() -> list[str]:
    """Return the wings, as they lie in the package."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def wing_pages() -> dict[str, str]:
    """Return a page for each wing and one for the modules below all of them, as MyST by file name."""
    pages = {f"{wing}.md": _wing_page(wing) for wing in wing_names()}
    ground = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
    text = ["# The ground", "", "What every wing may use, and what uses none of them."]
    for name in ground:
        module = f"sscnb.{name}"
        text += _section(module, dict.fromkeys(public(module), module))
    return pages | {"ground.md": "\n".join([*text, ""])}


def _wing_page(wing: str) -> str:
    door = importlib.import_module(f"sscnb.{wing}")
    parts = {module.__name__: handed_on(module) for module in [door, *_inner_doors(wing)]}
    # What lies behind an inner door is shown there, under the nearest name.
    for inner in list(parts)[1:]:
        for place in [place for place in parts[door.__name__] if place.startswith(f"{inner}.")]:
            parts[inner][place] = parts[inner].get(place, {}) | parts[door.__name__].pop(place)
    text = [f"# `{wing}`", "", door.__doc__.strip(), "", _neighbours(wing)]
    for name, places in parts.items():
        module = importlib.import_module(name)
        if module is not door:
            text += ["", f"## `{name.removeprefix(f'sscnb.{wing}.')}`", "", module.__doc__.strip()]
        text += ["", "```python", *_import_line(module), "```"]
        for place, names in places.items():
            text += _section(place, names)
    return "\n".join([*text, ""])


def _inner_doors(wing: str) -> list[ModuleType]:
    """Return the packages in a wing that say themselves what they hand on."""
    folders = sorted(path.parent.name for path in (PACKAGE / wing).glob("*/__init__.py"))
    modules = [importlib.import_module(f"sscnb.{wing}.{folder}") for folder in folders]
    return [module for module in modules if hasattr(module, "__all__")]


def _neighbours(wing: str) -> str:
    """Return a line with links to the wings that a wing imports from, and to those that import from it."""
    uses = {name: _wings_used(name) for name in wing_names()}
    sides = {"Imports from": sorted(uses[wing]), "Imported by": [name for name in uses if wing in uses[name]]}
    told = [f"{side} {', '.join(f'[`{n}`]({n}.md)' for n in names) or 'no wing'}." for side, names in sides.items()]
    return " ".join(told)


@cache
def _wings_used(wing: str) -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / wing).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {node.module.split(".")[1] for node in nodes if node.module.startswith("sscnb.")} & {*wing_names()} - {wing}


def _import_line(module: ModuleType) -> list[str]:
    line = f"from {module.__name__} import {', '.join(module.__all__)}"
    if len(line) <= 80:
        return [line]
    names = textwrap.wrap(", ".join(module.__all__) + ",", 76)
    return [f"from {module.__name__} import (", *(f"    {part}" for part in names), ")"]


def handed_on(door: ModuleType) -> dict[str, Name]:
    """Return what a door hands on, by the module that defines it.

    Of a module that is handed on whole, these are all public names, unless it is a door itself.
    """
    found: dict[str, Name] = {}
    for name in door.__all__:
        thing = getattr(door, name)
        if not isinstance(thing, ModuleType):
            found.setdefault(home(door.__name__, name), {})[name] = door.__name__
        elif not hasattr(thing, "__all__"):
            whole = found.setdefault(thing.__name__, {})
            whole |= dict.fromkeys(public(thing.__name__), thing.__name__) | whole
    return dict(sorted(found.items()))


def home(module: str, name: str) -> str:
    """Return the module in which a name is defined, however often it is handed on.

    Raises:
        UserError: it is neither defined nor imported from the package there.
    """
    while name not in definitions(module):
        imported = _imported(module)
        if name not in imported:
            raise UserError(f"{module} hands on {name} without `from sscnb… import {name}`: it cannot be documented.")
        module = imported[name]
    return module


@cache
def definitions(module: str) -> dict[str, Definition]:
    """Return the classes, functions and constants that a module defines, in the order of its source."""
    text = _file(module).read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            targets = [part for target in targets for part in getattr(target, "elts", [target])]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        found |= {name: Definition(node, text.splitlines()) for name in names}
    return found


def public(module: str) -> list[str]:
    """Return the names that a module defines for others."""
    return [name for name in definitions(module) if not name.startswith("_")]


@cache
def _imported(module: str) -> dict[str, str]:
    """Return the names that a module imports from the package, and from where."""
    nodes = ast.parse(_file(module).read_text(encoding="utf-8")).body
    nodes = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.startswith("sscnb")]
    return {alias.asname or alias.name: node.module for node in nodes for alias in node.names}


def _file(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _section(module: str, names: Name) -> list[str]:
    """Return the part of a page that is about one module: what it says of itself, and its public names."""
    path = _file(module).relative_to(PACKAGE)
    path = path.parent if path.name == "__init__.py" else path
    title = "/".join(path.parts[1:]) or path.name  # the wing is the page's own title
    text = ["", f"## `{title}`", "", importlib.import_module(module).__doc__.strip(), "", "````{eval-rst}"]
    known = definitions(module)
    for name in [name for name in known if name in names]:
        text += _entry(name, names[name], known, beside=names)
    return [*text, "````"]


def _entry(name: str, door: str, known: dict[str, Definition], beside: Name) -> list[str]:
    """Return the reStructuredText of one public name."""
    node = known[name].node
    if isinstance(node, ast.FunctionDef):
        return [f".. autofunction:: {door}.{name}", ""]
    if isinstance(node, ast.ClassDef):
        fields = known[name].fields()
        methods = any(isinstance(part, ast.FunctionDef) for part in node.body)
        head = f".. autoclass:: {door}.{name}{'(...)' if fields else ''}"
        return [head, *(["   :members:"] if methods else []), "", *_code(fields)]
    # A constant, after those that it is made of and that have no entry themselves.
    parts = [part for key, part in known.items() if key not in beside and known[name].uses(key)]
    source = [
        line
        for part in parts
        if isinstance(part.node, ast.Assign | ast.AnnAssign)
        for line in [*(f"# {said}" for said in part.comment()), *part.source(), ""]
    ]
    comment = [f"   {line}" for line in known[name].comment()]
    return [f".. py:data:: {name}", f"   :module: {door}", "", *comment, "", *_code([*source, *known[name].source()])]


def _code(lines: list[str]) -> list[str]:
    return ["   .. code-block:: python", "", *(f"      {line}".rstrip() for line in lines), ""] if lines else []
