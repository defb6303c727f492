"""The long campaign: every case, kills of both commands, and a table of counts in book/results/campaign.json.

`make campaign` calls it. Options: `--part cases` or `kills` for half of it; `--only WORD` for the cases whose kind or
name has that word, and nothing written; `--again` for the cases that failed the last time; `--kills N`; `--seed N` of
the kills' moments.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from campaign import bad_data, bad_settings, damaged_files, kills, photographs, releases, room, two_writers
from campaign.judge import GOOD, Verdict, judge
from campaign.world import World

import sscnb.commands.predict
import sscnb.commands.submit
import sscnb.stages  # noqa: F401  once here, and not in every forked process
from sscnb.files import read_json, write_json
from sscnb.stages.provenance import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book/results/campaign.json"
MODULES = (bad_settings, bad_data, photographs, releases, room, damaged_files)


def main() -> int:
    """Run the campaign; return 1 when something failed."""
    parser = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    parser.add_argument("--part", choices=("cases", "kills"))
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # In memory where there is such a folder: a case copies 60 MB.
    memory = Path("/dev/shm")
    failed = False
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = World(Path(folder)).make()
        if options.again:
            return _again(world)
        for part in [options.part] if options.part or options.only else ["kills", "cases"]:
            began = time.monotonic()
            found = _kills(world, options) if part == "kills" else _cases(world, options.only)
            origin = {key: value for key, value in provenance().items() if key in ("commit", "machine", "python")}
            origin |= {
                "seconds": round(time.monotonic() - began),
                "utc": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            if not options.only:
                content = read_json(RESULTS) if RESULTS.is_file() else {}
                write_json(RESULTS, content | {part or "cases": found | origin})
            failed |= bool(found["failures"])
    return int(failed)


def _cases(world: World, only: str) -> dict[str, Any]:
    cases = chain(*(module.cases() for module in MODULES))
    verdicts = [judged(judge(case, world)) for case in cases if only in f"{case.kind} {case.name}"]
    kinds = counts(verdicts)
    print(table(kinds))
    return {"kinds": kinds, "failures": [f"{v.case.kind}, {v.case.name}: {v.outcome}" for v in verdicts if not v.good]}


def _again(world: World) -> int:
    """Judge anew what failed, in the place of what it was; return 1 when something still fails."""
    content = read_json(RESULTS)
    found = content["cases"]
    cases = {f"{case.kind}, {case.name}": case for case in chain(*(module.cases() for module in MODULES))}
    left = []
    for name, _, outcome in (text.rpartition(": ") for text in found["failures"]):
        verdict, counted = judged(judge(cases[name], world)), found["kinds"][cases[name].kind]
        counted[outcome] -= 1
        counted[verdict.outcome] = counted.get(verdict.outcome, 0) + 1
        left += [] if verdict.good else [f"{name}: {verdict.outcome}"]
    before = found.get("again", {"cases": 0})["cases"]
    found["again"] = {"cases": before + len(found["failures"]) - len(left), "commit": provenance()["commit"]}
    found["failures"] = left
    for name, good in content.get("kills", {}).get("others", {}).items():
        if not good and (match := re.fullmatch(r"(SIG\w+) after ([\d.]+) s", name)):
            fault = two_writers.again(world.base / "again", match[1], float(match[2]))
            content["kills"]["others"][name] = not fault
            content["kills"]["failures"] = [text for text in content["kills"]["failures"] if fault or name not in text]
            print(name, fault or "well")
    write_json(RESULTS, content)
    print(table(found["kinds"]))
    return int(bool(left))


def _kills(world: World, options: argparse.Namespace) -> dict[str, Any]:
    killed, wrong = kills.campaign(world.base / "kills", options.kills, options.seed)
    others = two_writers.campaign(world.base / "two") | room.full_disks(world)
    failures = wrong + [f"{name}: {text}" for name, text in others.items() if text]
    print(f"{len(killed)} kills, {len(wrong)} runs that differ; others: {others}", *failures, sep="\n")
    others = {name: not text for name, text in others.items()}
    return {"kills": [vars(kill) for kill in killed], "differ": len(wrong), "others": others, "failures": failures}


def judged(verdict: Verdict) -> Verdict:
    """Print how a case went, with what the user reads, and return it."""
    case = verdict.case
    print(f"{'' if verdict.good else 'FAILED '}{case.kind}: {case.name!r}: {verdict.outcome}", flush=True)
    if said := verdict.message if verdict.good else verdict.note:
        print("    " + said[-1500:].replace("\n", "\n    "), flush=True)
    return verdict


def counts(verdicts: list[Verdict]) -> dict[str, dict[str, int]]:
    """Return how often each outcome was, by kind of case."""
    kinds: dict[str, Counter] = {}
    for verdict in verdicts:
        kinds.setdefault(verdict.case.kind, Counter())[verdict.outcome] += 1
    return {kind: dict(counter) for kind, counter in kinds.items()}


def table(kinds: dict[str, dict[str, int]]) -> str:
    """Return the counts as text."""
    lines = [f"{'kind':24}" + "".join(f"{name:>10}" for name in (*GOOD, "failed"))]
    for kind, found in kinds.items():
        failed = sum(found.values()) - sum(found.get(name, 0) for name in GOOD)
        lines.append(f"{kind:24}" + "".join(f"{found.get(name, 0):10}" for name in GOOD) + f"{failed:10}")
    return "\n".join([*lines, f"{sum(sum(found.values()) for found in kinds.values())} cases"])


if __name__ == "__main__":
    sys.exit(main())
