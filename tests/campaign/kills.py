"""Runs that are killed at random moments and called again, to the end: their rows are an undisturbed run's."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from campaign.world import SCENES, scenes_words, values

ROOT = Path(__file__).resolve().parents[2]
# More epochs than elsewhere, so that a kill may fall between two.
OVERRIDES = SCENES | {"cam.epochs": 2, "segmentation.epochs": 2}
_LONGEST = 900.0


@dataclass(frozen=True)
class Kill:
    """One call that was ended: by which signal, whether all of its processes at once, and where it was."""

    command: str
    signal: str
    all_at_once: bool
    after: float
    stage: str
    said: str


def reproduce_words(run: Path) -> list[str]:
    """The command that makes a whole run of generated scenes with its notebooks."""
    words = ["reproduce", "--preset", "tiny", "--run-dir", str(run), "--cores", "1", "--gpus", "0"]
    return [*words, "--overrides", json.dumps(OVERRIDES)]


def killed_often(words: Sequence[str], run: Path, number: int, longest: float, draw: random.Random) -> list[Kill]:
    """Call a command and end it after a random time, `number` times; then let it end, and return what happened.

    Raises:
        AssertionError: it did not end well in the end.
    """
    kills: list[Kill] = []
    while len(kills) < number:
        kill = _once(words, run, draw.uniform(3.0, longest), draw)
        if kill is None:  # it had ended before: begin anew, in another folder
            break
        kills.append(kill)
    done = subprocess.run(
        _command(words), capture_output=True, text=True, env=_environment(), cwd=ROOT, timeout=_LONGEST
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return kills


def difference(run: Path, whole: dict[str, Any]) -> str:
    """Return the first value that a killed run has otherwise than an undisturbed one, or nothing."""
    found = values(run)
    return next(
        (f"{name}: {found.get(name)}, not {value}" for name, value in whole.items() if found.get(name) != value), ""
    )


def undisturbed(run: Path) -> dict[str, Any]:
    """Return the values of a run that is left alone, with the segmentation that learns from true masks."""
    words = scenes_words(run, overrides=OVERRIDES)
    more = scenes_words(run, "segmentation", "predictions", "segmentation_eval", overrides=OVERRIDES)
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
    if number == signal.SIGTERM:
        assert process.returncode == 143 and "goes on from here" in text, (process.returncode, text[-2000:])
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


def campaign(folder: Path, number: int, seed: int) -> tuple[list[Kill], list[str]]:
    """Kill runs of both commands until `number` kills are counted, and return them with what differed at the end."""
    folder.mkdir()
    draw, wrong, kills, attempt = random.Random(seed), [], [], 0
    whole = undisturbed(folder / "whole")
    while len(kills) < number:
        command = "run" if attempt % 4 else "reproduce"
        run = folder / str(attempt) / "run"
        run.parent.mkdir()
        words = scenes_words(run, overrides=OVERRIDES) if command == "run" else reproduce_words(run)
        most, longest = (10, 25.0) if command == "reproduce" else (4, 12.0)
        compared = {k: v for k, v in whole.items() if command == "reproduce" or "/truth/" not in k}
        try:
            kills += killed_often(words, run, min(number - len(kills), most), longest, draw)
            wrong += [found] if (found := difference(run, compared)) else []
        except (AssertionError, subprocess.SubprocessError) as error:
            wrong.append(f"{command}: {error}")
        print(f"{len(kills)} kills; {wrong[-1:]}", *kills[-most:], sep="\n    ", flush=True)
        attempt += 1
    return kills, wrong
