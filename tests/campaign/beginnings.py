"""Trainings that begin with another variant's, where that file is damaged or not what it should be."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from campaign import damaged_files as damage
from campaign.judge import Case
from campaign.world import begun_words, remove

LONG, SHORT = "cam/drs+cdr/seed0/after2.pt", "cam/drs/seed0/after1.pt"


def another_variants(path: Path) -> None:
    """DRS's first two epochs."""
    shutil.copy(path.parents[2] / "drs/seed0/after2.pt", path)


def fewer_epochs(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"history": content["history"][:-1]}, path)


def more_epochs(path: Path) -> None:
    shutil.copy(path.with_name("checkpoint.pt"), path)


def nothing_learned(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"model": {}}, path)


def no_decoder(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    model = {name: value for name, value in content["model"].items() if not name.startswith("decoder.")}
    torch.save(content | {"model": model, "optimizers": content["optimizers"][:1]}, path)


def both(path: Path) -> None:
    """The shorter one too, which is begun with where the longer is gone."""
    damage.half(path)
    damage.not_finite(path.parents[2] / SHORT.removeprefix("cam/"))


def only_the_shorter(path: Path) -> None:
    path.unlink()
    damage.middle(path.parents[2] / SHORT.removeprefix("cam/"))


def _arranged(change: damage.Damage, place: Path) -> list[str]:
    remove(place / "begun/cam/ssc")
    change(place / "begun" / LONG)
    return begun_words(place / "begun", "ssc")


def cases() -> Iterator[Case]:
    """Each damage to the longer of two files that SSC may begin with; its values are those of SSC alone."""
    changes = [*damage.COMMON, damage.not_finite, damage.other_keys, damage.no_dict, damage.model_of_texts]
    changes += [another_variants, fewer_epochs, more_epochs, nothing_learned, no_decoder, both, only_the_shorter]
    for change in changes:
        yield Case("beginning", change.__name__, partial(_arranged, change), "same", ("begun",), ("begun",))


def sampled() -> Iterator[Case]:
    """Two that could be gone on from, and one that cannot be read."""
    return (case for case in cases() if case.name in ("more_epochs", "nothing_learned", "both"))
