"""What the book says of itself: how to cite it, and the buttons that need an address."""

import re
from pathlib import Path
from typing import Any

import yaml

LAUNCH = "https://mybinder.org"


def configuration(path: Path) -> str:
    """Return the book's settings: with buttons to repository, issues and a running notebook where `url` is set."""
    text = path.read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)
    if not settings["repository"]["url"]:
        return text
    settings["html"] |= {"use_repository_button": True, "use_issues_button": True}
    settings["launch_buttons"]["binderhub_url"] = LAUNCH
    return yaml.safe_dump(settings, sort_keys=False)


def citation(root: Path) -> str:
    """Return the paper's BibTeX entry, and one of the book made of CITATION.cff and the address in _config.yml."""
    references = (root / "book/references.bib").read_text(encoding="utf-8")
    found = re.search(r"^@article\{chen2024ssc,.*?^\}$", references, flags=re.M | re.S)
    if not found:
        raise ValueError("book/references.bib lacks the entry chen2024ssc.")
    said = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    fields = {
        "author": " and ".join(f"{{{author['name']}}}" for author in said["authors"]),
        "title": f"{{{said['title']}}}",
        "year": settings["copyright"],
        "note": f"Version {said['version']}",
        "url": settings["repository"]["url"],
    }
    lines = [f"  {name:<7} = {{{value}}}," for name, value in fields.items() if value]
    lines[-1] = lines[-1].rstrip(",")
    own = "\n".join(["@misc{sscnb,", *lines, "}"])
    return f"```bibtex\n{found[0]}\n\n{own}\n```\n"
