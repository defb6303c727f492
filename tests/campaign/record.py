"""What book/results/campaign.json holds of a campaign, and how a repeat of what failed is entered into it.

Each case stands there with its outcome, and each kill with its run, so that totals are counted and never corrected.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from campaign.judge import GOOD, Case

Part = dict[str, Any]


def cases_part(cases: Iterable[Case], outcome: Callable[[Case], str], before: Part | None = None) -> Part:
    """Find the outcome of each case.

    Args:
        before: what an earlier campaign found: only what failed in it is tried again, and what it did not have.
    """
    known = (before or {}).get("outcomes", {})
    outcomes: dict[str, dict[str, str]] = {}
    tried = 0
    for case in cases:
        found = known.get(case.kind, {}).get(case.name, "")
        if found not in GOOD:
            found, tried = outcome(case), tried + 1
        outcomes.setdefault(case.kind, {})[case.name] = found
    kinds = {kind: dict(Counter(of_kind.values())) for kind, of_kind in outcomes.items()}
    return {"kinds": kinds, "outcomes": outcomes, "tried": tried}


def kills_part(
    kills: list[dict[str, Any]],
    wrong: list[dict[str, Any]],
    others: dict[str, Callable[[], str | None]],
    before: Part | None = None,
) -> Part:
    """Enter kills and what else is tried of a whole run.

    Args:
        kills: with the `run` that each was of.
        wrong: the runs that ended otherwise: `run`, `command` and `fault`.
        others: by name what returns a fault, nothing, or None where it cannot be tried here.
        before: what an earlier campaign found: only what failed in it is tried again, and what it did not have.
    """
    before = before or {}
    found: dict[str, bool] = {}
    failures = list(wrong)
    tried = sum("run" in failure for failure in before.get("failures", ()))
    for name, trial in others.items():
        good = before.get("others", {}).get(name, False)
        fault = "" if good else _tried(trial)
        if fault is not None:
            found[name], tried = not fault, tried + (not good)
            failures += [{"other": name, "fault": fault}] if fault else []
    return {"kills": kills, "differ": len(wrong), "others": found, "failures": failures, "tried": tried}


def _tried(trial: Callable[[], str | None]) -> str | None:
    try:
        return trial()
    except Exception as error:  # of the campaign itself: a failure of this and of nothing else
        return f"{type(error).__name__}: {error}"


def entered(found: Part, origin: dict[str, Any], before: Part | None = None) -> Part:
    """Return a part with its origin: a campaign's own, or that of the one before with the repeat's behind it."""
    found = dict(found)
    tried = found.pop("tried")
    if before is None:
        return found | origin
    repeat = {"cases": tried, "commit": origin["commit"], "utc": origin["utc"]}
    kept = {key: before[key] for key in origin}
    return found | kept | {"again": [*before.get("again", []), *([repeat] if tried else [])]}


def failed(part: Part) -> list[str]:
    """Name what failed."""
    outcomes = part.get("outcomes", {})
    bad = [
        f"{kind}: {name}: {found}" for kind in outcomes for name, found in outcomes[kind].items() if found not in GOOD
    ]
    return bad + [f"{one.get('other', one.get('command'))}: {one['fault']}" for one in part.get("failures", ())]
