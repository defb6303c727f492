"""Two at once: the same command twice, signals to one of them; each ends well or says who is at work."""

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from campaign.kills import OVERRIDES, start
from campaign.world import scenes_words

MESSAGE = "is being worked on by"


def two_runs(folder: Path, *stages: str, apart: float = 0.0) -> str:
    """Start two processes that take a run through the same stages; return what is wrong, or nothing.

    The one that comes second may be turned away with a message; called once more, it finds all done.
    """
    run = folder / "run"
    words = scenes_words(run, *stages, overrides=OVERRIDES)
    logs = [folder / "one.txt", folder / "two.txt"]
    first = start(words, logs[0])
    time.sleep(apart)
    second = start(words, logs[1])
    codes = [first.wait(180), second.wait(180)]
    texts = [log.read_text() for log in logs]
    for code, text in zip(codes, texts, strict=True):
        if "Traceback" in text or code not in (0, 2) or (code == 2 and MESSAGE not in text):
            return f"exit {code}: {text[-1500:]}"
    if 0 not in codes:
        return f"neither went on: {texts}"
    again = start(words, logs[0])
    return "" if again.wait(180) == 0 else logs[0].read_text()[-1500:]


def stopped(folder: Path, number: signal.Signals, after: float) -> str:
    """Send a signal to a run and call it again; return what is wrong, or nothing."""
    words = scenes_words(folder / "run", overrides=OVERRIDES)
    log = folder / "log.txt"
    process = start(words, log)
    time.sleep(after)
    process.send_signal(number)
    code, text = process.wait(60), log.read_text()
    if code == 0 or (code < 0 and "segmentation_eval: " in text):  # it was at its end
        return ""
    if code != 128 + number or "goes on from here" not in text or "Traceback" in text:
        return f"exit {code}: {text[-1500:]}"
    if left := list(folder.rglob(".lock")):
        return f"a lock is left: {left}"
    again = start(words, log)
    return "" if again.wait(180) == 0 else log.read_text()[-1500:]


def trials(folder: Path) -> dict[str, Callable[[], str]]:
    """Return what is tried, by name; each returns what was wrong, or nothing."""
    folder.mkdir(exist_ok=True)
    found = {}
    for name, stages, apart in (
        ("two `run data` at once", ("data",), 0.0),
        ("two `run data superpixels`, half a second apart", ("data", "superpixels"), 0.5),
        ("two whole runs at once", (), 0.0),
        ("two whole runs, five seconds apart", (), 5.0),
    ):
        found[name] = partial(_tried, folder / f"two{len(found)}", two_runs, *stages, apart=apart)
    for number in (signal.SIGINT, signal.SIGTERM):
        for after in (4.5, 6.0, 8.0):
            name = f"{number.name} after {after} s"
            found[name] = partial(_tried, folder / f"two{len(found)}", stopped, number, after)
    return found


def _tried(folder: Path, function: Callable[..., str], *arguments: Any, **named: Any) -> str:
    folder.mkdir()
    return function(folder, *arguments, **named)
