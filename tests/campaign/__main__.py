"""The long campaign: every case, kills of both commands, and a table of counts in book/results/campaign.json.

`make campaign` calls it. Options: `--part cases` or `kills` for half of it; `--again` for what failed the last time and
what is new since, entered among what was found; `--only WORD` for the cases whose kind or name has that word, and
nothing written; `--kills N`; `--seed N` of the kills' moments.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import torch
from campaign import (
    bad_data,
    bad_settings,
    beginnings,
    damaged_files,
    kills,
    lock_files,
    photographs,
    releases,
    reproduced,
    room,
    two_writers,
)
from campaign.judge import GOOD, Case, Verdict, judge
from campaign.record import Part, cases_part, entered, failed, kills_part
from campaign.world import World

import sscnb.commands.predict
import sscnb.commands.submit
import sscnb.stages  # noqa: F401  once here, and not in every forked process
from sscnb.files import read_json, write_json
from sscnb.stages.provenance import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book/results/campaign.json"
MODULES = (bad_settings, bad_data, photographs, releases, room, damaged_files, lock_files, reproduced, beginnings)


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
    # Of the beginning: the code that is tried is loaded by now.
    origin = {key: value for key, value in provenance().items() if key in ("commit", "machine", "python")}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = World(Path(folder)).make()
        if options.only:
            return int(bool(failed(_cases(world, None, options.only))))
        for part in [options.part] if options.part else ["kills", "cases"]:
            content = read_json(RESULTS, dict) if RESULTS.is_file() else {}
            before = content.get(part) if options.again else None
            if before is not None and part == "cases" and "outcomes" not in before:
                before = None  # of an older campaign, which told counts alone
            began = time.monotonic()
            found = _kills(world, before, options) if part == "kills" else _cases(world, before)
            now = {
                "seconds": round(time.monotonic() - began),
                "utc": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_json(RESULTS, content | {part: entered(found, origin | now, before)})
            wrong += failed(found)
    print(*wrong, sep="\n")
    return int(bool(wrong))


def _cases(world: World, before: Part | None, only: str = "") -> Part:
    cases = chain(*(module.cases() for module in MODULES))
    chosen = (case for case in cases if only in f"{case.kind} {case.name}")
    found = cases_part(chosen, lambda case: judged(case, world), before)
    print(table(found["kinds"]))
    return found


def _kills(world: World, before: Part | None, options: argparse.Namespace) -> Part:
    folder = world.base / "kills"
    others = two_writers.trials(world.base / "two") | room.trials(world)
    if before is None:
        killed, wrong = kills.campaign(folder, options.kills, options.seed)
        found = kills_part([vars(kill) for kill in killed], wrong, others)
    else:
        kept, wrong = _killed_again(folder, before, random.Random(options.seed))
        found = kills_part(kept, wrong, others, before)
    ways = Counter(kill["command"] for kill in found["kills"])
    print(f"kills: {dict(ways)}, {found['differ']} runs that differ; others: {found['others']}", flush=True)
    return found


def _killed_again(folder: Path, before: Part, draw: random.Random) -> tuple[list[dict], list[dict]]:
    """Kill anew the runs that ended otherwise, in the place of what they were."""
    grounds, wrong = kills.Grounds(folder), []
    runs = {failure["run"]: failure["command"] for failure in before["failures"] if "run" in failure}
    kept = [kill for kill in before["kills"] if kill.get("run") not in runs]
    for run, command in runs.items():
        killed, fault = kills.killed_run(grounds, command, run, kills.COMMANDS[command][0], draw)
        kept += [vars(kill) for kill in killed]
        wrong += [{"run": run, "command": command, "fault": fault}] if fault else []
    return kept, wrong


def judged(case: Case, world: World) -> str:
    """Judge a case, print how it went with what the user reads, and return the outcome.

    What goes wrong with the campaign itself is a failure of that case and of no other.
    """
    try:
        verdict = judge(case, world)
    except Exception:
        verdict = Verdict(case, "campaign", note=traceback.format_exc())
    print(f"{'' if verdict.good else 'FAILED '}{case.kind}: {case.name!r}: {verdict.outcome}", flush=True)
    if said := verdict.message if verdict.good else verdict.note:
        print("    " + said[-1500:].replace("\n", "\n    "), flush=True)
    return verdict.outcome


def table(kinds: dict[str, dict[str, int]]) -> str:
    """Return the counts as text."""
    lines = [f"{'kind':24}" + "".join(f"{name:>10}" for name in (*GOOD, "failed"))]
    for kind, found in kinds.items():
        bad = sum(found.values()) - sum(found.get(name, 0) for name in GOOD)
        lines.append(f"{kind:24}" + "".join(f"{found.get(name, 0):10}" for name in GOOD) + f"{bad:10}")
    return "\n".join([*lines, f"{sum(sum(found.values()) for found in kinds.values())} cases"])


if __name__ == "__main__":
    sys.exit(main())
