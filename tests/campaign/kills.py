"""Runs that are killed at random moments and called again, to the end: their rows are an undisturbed run's."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from campaign.world import SCENES, begun_words, scenes_words, values

from sscnb.commands.cli import STAGES

ROOT = Path(__file__).resolve().parents[2]
# More epochs than elsewhere, so that a kill may fall between two.
OVERRIDES = SCENES | {"cam.epochs": 2, "segmentation.epochs": 2}
LONGER = {"cam.epochs": 12}  # of which two are another variant's
_LONGEST = 900.0
# How often a run of each is killed at most, and how late, in seconds.
COMMANDS = {"reproduce": (10, 25.0), "run": (4, 12.0), "run that begins with another's training": (4, 9.0)}
_IN_TURN = [*COMMANDS, "run"]


@dataclass(frozen=True)
class Kill:
    """One call that was ended: by which signal, whether all of its processes at once, and where it was."""

    command: str
    signal: str
    all_at_once: bool
    after: float
    stage: str
    said: str
    run: int = 0  # which of the campaign's


def reproduce_words(run: Path) -> list[str]:
    """The command that makes a whole run of generated scenes with its notebooks."""
    words = ["reproduce", "--preset", "tiny", "--run-dir", str(run), "--cores", "1", "--gpus", "0"]
    return [*words, "--overrides", json.dumps(OVERRIDES)]


def killed_often(
    words: Sequence[str], run: Path, number: int, longest: float, draw: random.Random, kills: list[Kill]
) -> None:
    """Call a command and end it after a random time, `number` times; then let it end. Adds to `kills` what happened.

    Raises:
        AssertionError: it did not end well in the end.
    """
    for _ in range(number):
        kill = _once(words, run, draw.uniform(3.0, longest), draw)
        if kill is None:  # it had ended before: begin anew, in another folder
            break
        kills.append(kill)
    done = subprocess.run(
        _command(words), capture_output=True, text=True, env=_environment(), cwd=ROOT, timeout=_LONGEST
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def difference(run: Path, whole: dict[str, Any]) -> str:
    """Return the first value that a killed run has otherwise than an undisturbed one, or nothing."""
    found = values(run)
    return next(
        (f"{name}: {found.get(name)}, not {value}" for name, value in whole.items() if found.get(name) != value), ""
    )


def undisturbed(run: Path) -> dict[str, Any]:
    """Return the values of a run that is left alone, with the segmentation that learns from true masks."""
    words = scenes_words(run, overrides=OVERRIDES)
    more = scenes_words(run, *STAGES[STAGES.index("segmentation") :], overrides=OVERRIDES)
    for command in (words, [*more, "--source", "truth"]):
        subprocess.run(_command(command), check=True, capture_output=True, env=_environment(), cwd=ROOT)
    return values(run)


def start(words: Sequence[str], log: Path) -> subprocess.Popen:
    """Start a command as the leader of a group of its own."""
    with log.open("w") as file:
        return subprocess.Popen(
            _command(words), stdout=file, stderr=file, env=_environment(), cwd=ROOT, start_new_session=True
        )


def _once(words: Sequence[str], run: Path, after: float, draw: random.Random) -> Kill | None:
    log = run.parent / "log.txt"
    process = start(words, log)
    try:
        process.wait(after)
        assert process.returncode == 0, log.read_text()[-4000:]
        return None
    except subprocess.TimeoutExpired:
        pass
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    # A machine that goes down takes all of them; a scheduler, or a hand, the one that it knows.
    together = number == signal.SIGKILL
    for pid in family if together else family[:1]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    process.wait(60)
    _wait_for(family)
    text = log.read_text()
    stages = [word for word in words if word in STAGES]
    if number == signal.SIGTERM and process.returncode == -number and stages and f"\n{stages[-1]}: " in text:
        return None  # all was done and said; the interpreter was on its way out, where no handler is called
    if number == signal.SIGTERM:
        assert process.returncode == 143 and "goes on from here" in text, (process.returncode, text[-2000:])
        assert not (left := list(run.rglob(".lock"))), f"a lock is left: {left}"
    assert "Traceback" not in text or "KeyboardInterrupt" in text, text[-3000:]
    return Kill(words[0], number.name, together, round(after, 1), _newest(run), "".join(text.splitlines()[-1:])[:200])


def _wait_for(family: list[int]) -> None:
    """Wait until none of the processes is left."""
    end = time.monotonic() + 30
    while left := [pid for pid in family if psutil.pid_exists(pid) and _alive(pid)]:
        assert time.monotonic() < end, f"processes outlive the command: {left}"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _newest(run: Path) -> str:
    """Return what the run was at: the stage whose file is the newest."""
    files = [path for path in run.rglob("*") if path.is_file() and not path.is_symlink()]
    if not files:
        return "start"
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    return newest.parent.relative_to(run).as_posix()


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sscnb", *words]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


class Grounds:
    """Undisturbed runs, made when they are asked for: what killed ones are compared with, and begin from."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    @cached_property
    def whole(self) -> dict[str, Any]:
        """The values of a run that is left alone."""
        return undisturbed(self.folder / "whole")

    @cached_property
    def begun(self) -> Path:
        """A run with the variants that SSC begins with, and SSC, which has learned all by itself."""
        run = self.folder / "begun"
        for variant in ("ssc", "drs", "drs+cdr"):
            words = _command(begun_words(run, variant, LONGER))
            subprocess.run(words, check=True, capture_output=True, env=_environment(), cwd=ROOT)
        return run

    def begin(self, command: str, run: Path) -> tuple[list[str], dict[str, Any]]:
        """Make a run's folder; return the command's words and the values that it should end with."""
        run.parent.mkdir()
        if command == "reproduce":
            return reproduce_words(run), self.whole
        if command == "run":
            return scenes_words(run, overrides=OVERRIDES), {k: v for k, v in self.whole.items() if "/truth/" not in k}
        shutil.copytree(self.begun, run, ignore=shutil.ignore_patterns("ssc"))
        return begun_words(run, "ssc", LONGER), values(self.begun)


def killed_run(grounds: Grounds, command: str, name: int, number: int, draw: random.Random) -> tuple[list[Kill], str]:
    """Kill one run of a command up to `number` times, and return that with what was wrong at the end, or nothing."""
    most, longest = COMMANDS[command]
    run, kills = grounds.folder / str(name) / "run", []
    try:
        words, expected = grounds.begin(command, run)
        killed_often(words, run, min(number, most), longest, draw, kills)
        wrong = difference(run, expected)
    except (AssertionError, subprocess.SubprocessError) as error:
        wrong = str(error) or "it did not end well"
    kills = [replace(kill, command=command, run=name) for kill in kills]
    print(f"{command}: {wrong or 'as undisturbed'}", *kills, sep="\n    ", flush=True)
    return kills, wrong


def campaign(folder: Path, number: int, seed: int) -> tuple[list[Kill], list[dict[str, Any]]]:
    """Kill runs of each command until `number` kills are counted; return them, and the runs that ended otherwise."""
    grounds, draw, kills, wrong = Grounds(folder), random.Random(seed), [], []
    for name in range(number):
        if len(kills) < number:
            command = _IN_TURN[name % len(_IN_TURN)]
            found, fault = killed_run(grounds, command, name, number - len(kills), draw)
            kills += found
            wrong += [{"run": name, "command": command, "fault": fault}] if fault else []
    return kills, wrong
