"""`predict` and `submit`: photographs, outputs and networks that are not as they should be."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from campaign import damaged_files as damage
from campaign.bad_data import _bomb, _deep_png, _saved, _turned
from campaign.judge import Case
from campaign.world import remove
from PIL import Image

from sscnb.datasets import save_mask

NET = f"run/{damage.NET}"


def _predict(place: Path, *more: str, source: str = "photographs/JPEGImages", run: str = "run") -> list[str]:
    words = ["predict", "--run-dir", str(place / run), "--input", str(place / source)]
    return [*words, "--output", str(place / "output"), "--limit", "64", *more]


def _with(change: Callable[[Path], None], name: str, more: tuple[str, ...], place: Path) -> list[str]:
    change(place / name)
    return _predict(place, *more)


def _input(source: str, place: Path) -> list[str]:
    (place / "empty").mkdir()
    (place / "loop").symlink_to("loop")
    return _predict(place, source=source)


def _output(output: str, place: Path) -> list[str]:
    (place / "loop").symlink_to("loop")
    words = _predict(place)
    words[words.index("--output") + 1] = output.replace("{place}", str(place))
    return words


def _others_are_there(place: Path) -> str:
    masks = sorted(path.name for path in (place / "output/masks").glob("*.png"))
    wanted = ["000.png", *(f"{n:03d}.png" for n in range(2, 6))]
    return "" if set(wanted) <= set(masks) else f"masks of good images: {masks}"


def _beside(suffix: str, place: Path) -> list[str]:
    """Two files of one name but for the suffix or its case: both have their outputs."""
    folder = place / "photographs/JPEGImages"
    (folder / f"000{suffix}").write_bytes((folder / "001.jpg").read_bytes())
    return _predict(place)


def _seven(place: Path) -> str:
    return "" if len(list((place / "output/masks").glob("*.png"))) == 7 else "an output was lost"


def _record(name: str, content: str, path: Path) -> None:
    found = json.loads((path / name).read_text())
    found |= json.loads(content)
    (path / name).unlink()
    (path / name).write_text(json.dumps(found))


def _predicting() -> Iterator[Case]:
    kind, needs = "predict", ("run", "photographs")
    picture = "photographs/JPEGImages/001.jpg"
    for name, change in (
        ("empty", damage.empty),
        ("half", damage.half),
        ("noise", damage.noise),
        ("bomb", _bomb),
        ("16 bits", _deep_png),
        ("loop", damage.loop),
        ("pipe", damage.pipe),
        ("link to nothing", damage.dangling),
        ("GIF", _saved(Image.new("L", (9, 9)), format="GIF")),
    ):
        yield Case(kind, f"a photograph {name}", partial(_with, change, picture, ()), "refused", needs, ("output",))
    for name, change in (
        ("orientation 9", _turned(9)),
        ("orientation 6", _turned(6)),
        ("one pixel", _saved(Image.new("RGB", (1, 1)))),
        ("a line", _saved(Image.new("RGB", (3000, 1)))),
        ("CMYK", _saved(Image.new("CMYK", (50, 40)))),
        ("36 megapixels", _saved(Image.new("RGB", (6000, 6000)), quality=10)),
        ("a folder", damage.folder),
    ):
        arrange = partial(_with, change, picture, ())
        yield Case(kind, f"a photograph of {name}", arrange, "accepted", needs, ("output",), check=_others_are_there)
    for suffix in (".JPG", ".png", ".jpg.png", ".jpeg"):
        yield Case(kind, f"000{suffix}", partial(_beside, suffix), "accepted", needs, ("output",), check=_seven)
    for source in ("nothing", "empty", "loop", "canary.txt", "run", "run/run.json", "x" * 300):
        yield Case(kind, f"--input {source[:20]}", partial(_input, source), "refused", (*needs,), ("output",))
    for output in (
        "{place}/canary.txt",
        "{place}/canary.txt/a",
        "{place}/loop",
        "/proc/x",
        "~nobody-here",
        "/dev/null",
    ):
        yield Case(kind, f"--output {output}", partial(_output, output), "refused", needs)
    for words in (
        ("--source", "truth"),
        ("--seed", "3"),
        ("--backbone", "vgg16"),
        ("--source", "../.."),
        ("--crf", "thick"),
        ("--limit", "-1"),
        ("--limit", "x"),
        ("--seed", "-1"),
    ):
        yield Case(kind, " ".join(words), partial(_with, lambda path: None, NET, words), "refused", needs)
    checkpoint = f"{NET}/checkpoint.pt"
    for change in (*damage.COMMON, damage.not_finite, damage.other_keys, damage.no_dict, damage.model_of_texts):
        arrange = partial(_with, change, checkpoint, ())
        yield Case(kind, f"checkpoint {change.__name__}", arrange, "refused", needs)
    for content in damage.SHAPES:
        change = partial(_rewritten, content)
        yield Case(
            kind, f"results.json {content[:40]}", partial(_with, change, f"{NET}/results.json", ()), "refused", needs
        )
    for content in (
        '{"classes": 3}',
        '{"classes": []}',
        '{"classes": ["a"]}',
        '{"segmentation": 3}',
        '{"classes": [1, 2]}',
        '{"segmentation": {}}',
        '{"segmentation": {"backbone": "x"}}',
        '{"segmentation": {"more": 1}}',
    ):
        change = partial(_record, "results.json", content)
        yield Case(kind, f"results.json with {content}", partial(_with, change, NET, ()), "refused", needs)


def _rewritten(content: str, path: Path) -> None:
    path.unlink()
    path.write_text(content)


def _submission(change: Callable[[Path], None], words: tuple[str, ...], place: Path) -> list[str]:
    """Predictions of the six photographs, as a split of VOC's; then the change."""
    root, folder = place / "photographs", place / "predictions"
    (root / "ImageSets/Segmentation/test.txt").write_text("".join(f"{n:03d}\n" for n in range(6)))
    for n in range(6):
        with Image.open(root / f"JPEGImages/{n:03d}.jpg") as picture:
            mask = np.zeros(picture.size[::-1], np.uint8)
        mask[:9] = 1
        save_mask(folder / f"{n:03d}.png", mask)
    change(folder)
    base = ["submit", "--predictions", str(folder), "--root", str(root), "--output", str(place / "output/x.tgz")]
    return [*base, *(word.replace("{place}", str(place)) for word in words)]


def _one(change: Callable[[Path], None], folder: Path) -> None:
    change(folder / "001.png")


def _grey(path: Path) -> None:
    path.unlink()
    Image.fromarray(np.zeros((56, 64), np.uint8)).save(path)


def _palette(path: Path) -> None:
    picture = Image.open(path)
    picture.load()
    picture.putpalette([7] * 768)
    path.unlink()
    picture.save(path)


def _ignored(path: Path) -> None:
    path.unlink()
    save_mask(path, np.full((56, 64), 255, np.uint8))


def _more(folder: Path) -> None:
    (folder / "more.png").write_bytes((folder / "001.png").read_bytes())


def _ours(folder: Path) -> None:
    for name in ("results.json", "settings.json"):
        (folder / name).write_text("{}")


def _submitting() -> Iterator[Case]:
    kind, needs = "submit", ("photographs",)
    for change in (*damage.COMMON, damage.small_picture, damage.jpeg_picture, _grey, _palette, _ignored, _bomb):
        arrange = partial(_submission, partial(_one, change), ())
        yield Case(kind, f"a prediction {change.__name__.strip('_')}", arrange, "refused", needs)
    yield Case(kind, "one more", partial(_submission, _more, ()), "refused", needs)
    yield Case(kind, "none", partial(_submission, remove, ()), "refused", needs)
    yield Case(kind, "a run's own records", partial(_submission, _ours, ()), "accepted", needs, ("output",))
    for words in (
        ("--output", "{place}/x.zip"),
        ("--output", "{place}/canary.txt/x.tgz"),
        ("--output", "/proc/x.tgz"),
        ("--split", "nothing"),
        ("--split", "../train"),
        ("--root", "{place}/nothing"),
        ("--root", "{place}/canary.txt"),
        ("--output", "{place}/photographs"),
        ("--predictions", "{place}/canary.txt"),
        ("--split", ""),
        ("--predictions", "/dev/null"),
        ("--output", "{place}/" + "x" * 300 + ".tgz"),
    ):
        arrange = partial(_submission, lambda folder: None, words)
        yield Case(kind, " ".join(words)[:50], arrange, "refused", needs)


def cases() -> Iterator[Case]:
    """Both commands."""
    yield from _predicting()
    yield from _submitting()


def sampled() -> Iterator[Case]:
    """Every 18th."""
    return (case for number, case in enumerate(cases()) if number % 18 == 0)
