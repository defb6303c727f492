"""One case of the campaign: something bad, a command, and how the command's answer is judged."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from campaign.calls import Answer
from campaign.world import World, remove, state, values

GOOD = ("refused", "mended", "accepted", "healed")
_ROUNDS = 4  # of following advice: one a damaged file would do, a stage may have a few


@dataclass(frozen=True)
class Case:
    """Something bad.

    Attributes:
        kind: the row of the table of counts.
        arrange: does the damage in the place, and returns the words of the command.
        expect: "refused": with a message; "accepted": rightly; "either"; "same": whichever way, at the end of following
            the messages' advice stand the values of the undisturbed run.
        needs: what is copied into the place.
        writes: what a call may write to, below the place.
        cure: what a user puts right after a refusal, and the same command is accepted: as it was before.
        file_size: as for `call`, for the first call alone.
        says: words that a message must have.
        check: looks at the place when all has ended well, and returns what is wrong.
        again: words that name the settings, for the user who is asked for them.
    """

    kind: str
    name: str
    arrange: Callable[[Path], Sequence[str]] = field(repr=False)
    expect: str = "refused"
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    cure: str = ""
    file_size: int = 0
    says: tuple[str, ...] = ()
    check: Callable[[Path], str] | None = None
    again: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """Which finished run the values are compared with."""
        return next((name for name in self.needs if name in ("own", "whole", "begun")), "run")


@dataclass(frozen=True)
class Verdict:
    """How a case went: one of `GOOD`, or a failure's kind; what was printed first, and what tells more."""

    case: Case
    outcome: str
    message: str = ""
    note: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


def judge(case: Case, world: World) -> Verdict:
    """Run a case and judge it."""
    began = time.monotonic()
    place = world.fresh(case.needs)
    words = case.arrange(place)
    before = state(place)
    answer = world.call(words, file_size=case.file_size)
    outcome, note = _judged(case, world, words, answer, before)
    return Verdict(case, outcome, answer.message, note, time.monotonic() - began)


def _judged(case: Case, world: World, words: Sequence[str], answer: Answer, before: dict) -> tuple[str, str]:
    if answer.fault:
        return answer.fault, answer.err[-1500:]
    after = state(world.place)
    touched = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if outside := [name for name in touched if name.split("/")[0] not in case.writes]:
        return "outside", f"written: {outside[:5]}"
    if left := [name for name in after if name.endswith("/.lock") and name not in before]:
        return "lock", f"left: {left}"
    if answer.code == 0:
        return _accepted(case, world)
    if case.expect == "accepted":
        return "wrongly refused", answer.message
    if lacking := [word for word in case.says if word not in answer.message]:
        return "unclear", f"no {lacking} in: {answer.message}"
    whole = state(world.store)
    good = [name for name, found in before.items() if found[:2] == whole.get(name, ())[:2]]
    if lost := [name for name in good if name not in after and not _passing(name)]:
        return "lost", f"{lost[:5]} after: {answer.message}"
    if case.cure:
        return _cured(case, world, words, answer)
    if case.expect != "same":
        return "refused", ""
    return _follow(case, world, list(words), answer)


def _accepted(case: Case, world: World) -> tuple[str, str]:
    if case.expect == "refused":
        return "silent", "it was accepted"
    if fault := _fault(case, world):
        return "silent", fault
    return "healed" if case.expect == "same" else "accepted", ""


def _fault(case: Case, world: World, run: Path | None = None) -> str:
    """Return what is wrong where all has ended well, or nothing."""
    fault = case.check(world.place) if case.check else ""
    if case.expect == "same":
        fault = fault or other_values(world.expected[case.run], run or world.place / case.run)
    return fault


def _cured(case: Case, world: World, words: Sequence[str], first: Answer) -> tuple[str, str]:
    world.restore(case.cure)
    answer = world.call(words)
    if answer.fault or answer.code:
        return answer.fault or "advice", f"when {case.cure} is right again, after {first.message}: {answer.err[-1500:]}"
    fault = _fault(case, world)
    return ("silent", fault) if fault else ("mended", "")


def other_values(expected: dict, run: Path) -> str:
    """Return the first values of a run that are not the expected ones, or nothing."""
    found = values(run)
    other = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return ", ".join(f"{name} {found.get(name)} for {expected.get(name)}" for name in other[:3])


def _passing(name: str) -> bool:
    """Tell whether a file is no loss: results of a stage that is made again because it is not whole."""
    return name.endswith("/results.json") or ".tmp" in name


def _follow(case: Case, world: World, words: list[str], answer: Answer) -> tuple[str, str]:
    """Do what the messages say until the command ends well, and compare."""
    said = []
    run = world.place / case.run
    for _ in range(_ROUNDS):
        said.append(answer.message)
        asked = "overrides" in answer.message and case.again and not set(case.again) <= set(words)
        words += case.again if asked else ()
        step = asked or advised(answer.message, world, run)
        if step is None:
            return "advice", f"none that can be followed: {answer.message}"
        if isinstance(step, Path):
            words = [str(step) if word == str(run) else word for word in words]
            run = step
        answer = world.call(words)
        if answer.fault:
            return answer.fault, f"after {said[-1]}: {answer.err[-1500:]}"
        if answer.code == 0:
            fault = _fault(case, world, run)
            return ("silent", f"after {said}: {fault}") if fault else ("mended", "")
    return "advice", f"in a circle: {said}"


def advised(message: str, world: World, run: Path) -> Path | bool | None:
    """Do what a message says.

    Returns:
        True when it is done; the run folder to take instead; None when the message says nothing that can be done.
    """
    paths = _paths(message, world.place)
    if match := re.search(r"[Dd]elete (.*?)(?: to | and run|, and run| for |\.$|\. |$)", message, re.DOTALL):
        named = _paths(match[1], world.place)
        if re.match(r"(it|that|this|them)\b", match[1]):
            named = [*paths[:1], *named]
        for path in named:
            remove(path)
        return True if named else None
    if re.search(r"[Pp]ut (that|it|the data set) back|Unpack|Restore", message):
        for path in paths:
            world.restore(path.relative_to(world.place).as_posix())
        return True
    if re.search(r"[Mm]ove (it|the file) away|remove or mend them|Remove it", message) and paths:
        remove(paths[0])
        return True
    if "again" in message and re.search(r"[Mm]ake room|Raise the limit|same command again", message):
        return True
    if "Raise the limit on the size of files" in message:
        return True
    if "hoose another run folder" in message:
        return run.with_name("another")
    return None


def _paths(text: str, place: Path) -> list[Path]:
    """Return the paths that a text names below the place, in order."""
    found = re.findall(re.escape(str(place)) + r"/[^\s,;:()'\"]+", text)
    return list(dict.fromkeys(Path(path.rstrip(".")) for path in found))
