"""The commands that make the reference rows again, and the digests of what they learned from."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from sscnb.evidence.report import REFERENCE_SETS, kept_rows
from sscnb.files import read_json
from sscnb.stages import project_root

PYTHON = ".venv/bin/python -m sscnb"


def commands_text() -> str:
    """Return as Markdown, for each kept set of rows: the digest of its data, and the commands that make it again."""
    parts = []
    for name, kept in REFERENCE_SETS.items():
        rows = kept_rows(name)
        if not rows:
            continue
        made = read_json(project_root() / f"book/results/{name}.json").get("made", {})
        digest = f"`{made['data']}`" if made.get("data") else "not kept with these rows"
        commands = commands_again(name, rows, made.get("overrides", {}))
        commands.append(f"{PYTHON} keep --run-dir runs/{name} --name {name}")
        title = kept.title[0].upper() + kept.title[1:]
        fence = "\n".join(["```sh", *commands, "```"])
        parts.append(f"### {title}\n\nDigest of photographs, labels and lists: {digest}.\n\n{fence}")
    return "\n\n".join(parts) + "\n" if parts else "None are kept."


def commands_again(name: str, rows: Sequence[dict[str, Any]], overrides: dict[str, Any]) -> list[str]:
    """Return a command for each set of random seeds that variants were trained with, and each choice of CRF."""
    seeds: dict[str, list[int]] = {}
    for row in rows:
        if row.get("stage") == "cam" and row["seed"] not in seeds.setdefault(row["variant"], []):
            seeds[row["variant"]].append(row["seed"])
    groups: dict[tuple[int, ...], list[str]] = {}
    for variant, numbers in seeds.items():
        groups.setdefault(tuple(sorted(numbers)), []).append(variant)
    root = REFERENCE_SETS[name].data_root
    start = f"{PYTHON} reproduce --preset {rows[0]['preset']}" if rows else ""
    start += f" \\\n  {'--data-root ' + root + ' ' if root else ''}--run-dir runs/{name}"
    commands = []
    for together, variants in groups.items():
        crfs = sorted({row["crf"] for row in rows if row.get("stage") == "pseudo" and row["variant"] in variants})
        for crf in crfs or [""]:
            changes = {**overrides, "variants": variants, "seeds": list(together), **({"irn.crf": crf} if crf else {})}
            # Broken between values, which JSON does not mind.
            text = textwrap.fill(f"  --overrides '{json.dumps(changes)}'", 88, break_long_words=False)
            commands.append(f"{start} \\\n{text}")
    return commands
