"""The long campaign: every case, kills of both commands, and a table of counts in book/results/campaign.json.

`make campaign` calls it. Options: `--only WORD` for the cases whose kind or name has that word, and nothing written;
`--kills N`; `--seed N` of the kills' moments.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import torch
from campaign import bad_data, bad_settings, damaged_files, kills, photographs, releases, room, two_writers
from campaign.judge import GOOD, Verdict, judge
from campaign.world import World

import sscnb.commands.predict
import sscnb.commands.submit
import sscnb.stages  # noqa: F401  once here, and not in every forked process
from sscnb.files import write_json
from sscnb.stages.provenance import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book/results/campaign.json"
MODULES = (damaged_files, bad_settings, bad_data, photographs, releases, room)


def main() -> int:
    """Run the campaign; return 1 when something failed."""
    parser = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    # In memory where there is such a folder: a case copies 60 MB.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = World(Path(folder)).make()
        cases = [case for case in chain(*(module.cases() for module in MODULES))]
        verdicts = [judged(judge(case, world)) for case in cases if options.only in f"{case.kind} {case.name}"]
        killed, wrong = ([], []) if options.only else kills.campaign(Path(folder), options.kills, options.seed)
        others = {} if options.only else two_writers.campaign(Path(folder)) | room.full_disks(world)
    failures = [f"{v.case.kind}, {v.case.name}: {v.outcome}. {v.note}" for v in verdicts if not v.good]
    failures += [f"kill: {text}" for text in wrong] + [f"{name}: {text}" for name, text in others.items() if text]
    content = {
        "kinds": counts(verdicts),
        "kills": [vars(kill) for kill in killed],
        "killed runs that differ": len(wrong),
        "others": {name: not text for name, text in others.items()},
        "failures": failures,
        "seconds": round(time.monotonic() - began),
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: value for key, value in provenance().items() if key in ("commit", "machine", "python")},
    }
    print(table(content))
    print("\n".join(failures))
    if not options.only:
        write_json(RESULTS, content)
        print(RESULTS)
    return 1 if failures else 0


def judged(verdict: Verdict) -> Verdict:
    """Print how a case went, and return it."""
    case = verdict.case
    print(f"{'' if verdict.good else 'FAILED '}{case.kind}: {case.name}: {verdict.outcome}", flush=True)
    return verdict


def counts(verdicts: list[Verdict]) -> dict[str, dict[str, int]]:
    """Return how often each outcome was, by kind of case."""
    kinds: dict[str, Counter] = {}
    for verdict in verdicts:
        kinds.setdefault(verdict.case.kind, Counter())[verdict.outcome] += 1
    return {kind: dict(counter) for kind, counter in kinds.items()}


def table(content: dict) -> str:
    """Return the counts as text."""
    lines = [f"{'kind':24}" + "".join(f"{name:>10}" for name in (*GOOD, "failed"))]
    for kind, found in content["kinds"].items():
        failed = sum(found.values()) - sum(found.get(name, 0) for name in GOOD)
        lines.append(f"{kind:24}" + "".join(f"{found.get(name, 0):10}" for name in GOOD) + f"{failed:10}")
    total = sum(sum(found.values()) for found in content["kinds"].values())
    lines.append(f"{total} cases, {len(content['kills'])} kills, {len(content['failures'])} failures")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
