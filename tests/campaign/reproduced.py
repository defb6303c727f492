"""`reproduce` over a finished run whose own records are damaged: what it was told last, and the stamp of the code."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from campaign import damaged_files as damage
from campaign.judge import Case
from campaign.world import named, reproduce_words

from sscnb.stages import stamp_code

RECORDS = ("reproduce.json", "code.json")
SHAPES = ("null", "[]", "{}", "7", '"text"', "NaN", "[" * 5000, '{"overrides": []}', '{"overrides": null}')
SHAPES += ('{"overrides": {"cam.epoch": 2}}', '{"overrides": {"cam.epochs": "2"}}')


def unreadable(path: Path) -> None:
    """The system says no: to a user, and to root, who may read all, as a broken disk does."""
    if os.geteuid():
        path.chmod(0)
    else:
        path.unlink()
        path.symlink_to("/proc/self/mem")


def _arranged(name: str, change: damage.Damage, more: list[str], place: Path) -> list[str]:
    change(place / "whole" / name)
    return [*reproduce_words(place / "whole"), *more]


def _shaped(content: str) -> damage.Damage:
    return lambda path: damage._rewritten(path, content.encode())


def _as_before(place: Path) -> str:
    """Tell what the records hold otherwise than those of the undisturbed run, or another stamp than the code has."""
    found, whole = (
        json.loads((parent / "whole/reproduce.json").read_text()) for parent in (place, place.with_name("store"))
    )
    if found != whole:
        return f"reproduce.json holds {found}"
    stamp = (place / "whole/code.json").read_text()
    return "" if stamp_code(place).read_text() == stamp else f"code.json holds {stamp}"


def cases() -> Iterator[Case]:
    """Each damage, and the command that goes on as it was; and the one that names all settings again."""
    damages = {change.__name__: change for change in (*damage.COMMON, damage.utf16, unreadable)}
    damages |= {content[:40]: _shaped(content) for content in SHAPES}
    for name in RECORDS:
        for number, (what, change) in enumerate(damages.items()):
            for more in ([], named()) if name == "reproduce.json" and number % 3 == 0 else ([],):
                arrange = partial(_arranged, name, change, more)
                told = f"{name} {what}" + (", all named" if more else "")
                again = () if more else tuple(named())
                yield Case(
                    "records of reproduce", told, arrange, "same", ("whole",), ("whole",), check=_as_before, again=again
                )


def sampled() -> Iterator[Case]:
    """One of each file."""
    return (case for case in cases() if case.name in ("reproduce.json half", "code.json empty"))
