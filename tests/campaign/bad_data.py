"""Data sets as people hand them in: hostile ids, odd lists, masks of another kind, damaged photographs."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from campaign import damaged_files as damage
from campaign.judge import Case
from campaign.world import photographs_words, remove
from PIL import Image

LIST, LABELS, CLASSES = "ImageSets/Segmentation/train.txt", "labels.csv", "classes.txt"
IDS = ("../000", "../../canary", "/etc/passwd", "{place}/canary", "a/b", "a\\b", "..", ".", ".hidden", "-rf", "con")
IDS += (
    "nul.txt",
    "a\tb",
    "a\x00b",
    "\x1b[31mred",
    "\u202egpj",
    " x" * 101,
    "x" * 300,
    "000 copy",
    "000.jpg",
    "missing",
)
IDS += ("000", "\ufeff000x", "~root", "$(reboot)", "a;b", "a,b", "*", "trailing.", "%2e%2e")
_ACCEPTED_AS_NAMES = ("$(reboot)", "a;b", "%2e%2e", "~root", "*", "a,b")  # odd, and no harm: no such image is there
CLASS_LISTS = ("background\ndisc\nsquare\n", "disc\n\nsquare\n", "disc\ndisc\n", "", "\n\n", "disc;square\n")
CLASS_LISTS += ("void\ndisc\nsquare\n", "disc\n", "x" * 300 + "\nsquare\n", "dis\x07c\nsquare\n", "Disc\nsquare\n")
CLASS_LISTS += ("\n".join(f"c{n}" for n in range(300)), "__ignore__\ndisc\nsquare\n", "square\ndisc\n")
LABEL_TABLES = ("", "id,classes\n", "id;classes\n000;disc\n", "classes,id\ndisc,000\n", 'id,classes\n"000,disc\n')
LABEL_TABLES += ("id,classes\n000,disc,square\n", "id,classes\n000\n", "id,classes\n000,triangle\n", "\x00\x00")
LABEL_TABLES += ("id,classes\n" + "0" * 200_000 + ",disc\n", 'id,classes\n000,"' + "x" * 200_000, "id,classes\n,disc\n")
LABEL_TABLES += ("id,classes\n000,disc\n000,square\n", "id,classes\n../000,disc\n", "id,classes\n000,DISC\n")
_ENTITY = "<!DOCTYPE a [<!ENTITY {}>]><annotation><object><name>&x;</name></object></annotation>"
ANNOTATIONS = ("", "<annotation>", "no xml", '<?xml version="1.0" encoding="odd-9"?><annotation/>', None)
ANNOTATIONS += ("<annotation><object><name>triangle</name></object></annotation>", "<annotation><object/></annotation>")
ANNOTATIONS += (_ENTITY.format('x "xxxxxxxx"'), _ENTITY.format('x SYSTEM "file:///etc/passwd"'))


def _changed(change: Callable[[Path], None], place: Path) -> list[str]:
    change(place / "photographs")
    return photographs_words(place / "new", place / "photographs", "data")


def _changed_later(change: Callable[[Path], None], place: Path) -> list[str]:
    change(place / "photographs")
    return photographs_words(place / "own", place / "photographs")


def _listed(line: str, root: Path) -> None:
    path = root / LIST
    path.write_bytes(path.read_bytes() + line.replace("{place}", str(root.parent)).encode() + b"\n")


def _labelled(line: str, root: Path) -> None:
    path = root / LABELS
    path.write_bytes(path.read_bytes() + f'"{line}",disc\n'.replace("{place}", str(root.parent)).encode())


def _written(name: str, content: str | bytes, root: Path) -> None:
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _photograph(content: Callable[[Path], None], root: Path) -> None:
    content(root / "JPEGImages/001.jpg")


def _mask(change: Callable[[np.ndarray], np.ndarray], root: Path) -> None:
    for path in sorted((root / "SegmentationClass").glob("*.png")):
        mask = np.array(Image.open(path))
        path.unlink()
        Image.fromarray(change(mask)).save(path)


def _saved(image: Image.Image, **options: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.unlink()
        image.save(path, **options)

    return write


def _turned(orientation: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with Image.open(path) as picture:
            exif = Image.Exif()
            exif[0x0112] = orientation
            picture.load()
        path.unlink()
        picture.save(path, exif=exif)

    return write


def _bomb(path: Path) -> None:
    """A PNG that says it is of 60,000 x 60,000 pixels."""
    small = io.BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG")
    content = bytearray(small.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    damage._rewritten(path, bytes(content))


def _deep_png(path: Path) -> None:
    path.unlink()
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(path, format="PNG")


def _twin(root: Path) -> None:
    (root / "JPEGImages/001.png").write_bytes((root / "JPEGImages/001.jpg").read_bytes())


def _jpeg_masks(root: Path) -> None:
    for path in (root / "SegmentationClass").glob("*.png"):
        mask = Image.open(path)
        mask.load()
        path.unlink()
        mask.save(path, format="JPEG")


def _half_the_masks(root: Path) -> None:
    for name in ("000", "001", "005"):
        (root / f"SegmentationClass/{name}.png").unlink()


def _only_255(root: Path) -> None:
    """As many annotation tools write them, of one class."""
    _written(CLASSES, "disc\n", root)
    rows = ["id,classes", *(f"{n:03d},disc" for n in range(6))]
    _written(LABELS, "\n".join(rows) + "\n", root)
    _mask(lambda mask: np.where(mask > 0, 255, 0).astype(np.uint8), root)


def _val_255(root: Path) -> None:
    """Those of val alone, which are too few to look wrong among all."""
    for name in ("004", "005"):
        _mask_of(root, name, lambda mask: np.full_like(mask, 255))


def _mask_of(root: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = root / f"SegmentationClass/{name}.png"
    mask = np.array(Image.open(path))
    path.unlink()
    Image.fromarray(change(mask)).save(path)


def _gone(name: str, root: Path) -> None:
    remove(root / name)


def _in_place(name: str, change: Callable[[Path], None], root: Path) -> None:
    change(root / name)


def _xml(content: str | None, root: Path) -> None:
    """Labels by VOC's annotations; one of them as given."""
    _gone(LABELS, root)
    (root / "Annotations").mkdir()
    for n in range(6):
        (root / f"Annotations/{n:03d}.xml").write_text("<annotation><object><name>disc</name></object></annotation>")
    path = root / "Annotations/001.xml"
    path.unlink()
    if content is not None:
        path.write_text(content)
    else:
        path.mkdir()


def _fresh() -> Iterator[tuple[str, str, Callable[[Path], None], str]]:
    for name in IDS:
        yield "hostile id", f"in a split: {name[:30]!r}", partial(_listed, name), "refused"
        harmless = name in _ACCEPTED_AS_NAMES or name in ("000 copy", "missing", "000.jpg", "\ufeff000x")
        yield "hostile id", f"in labels: {name[:30]!r}", partial(_labelled, name), "either" if harmless else "refused"
    for content in CLASS_LISTS:
        yield "class list", repr(content[:40]), partial(_written, CLASSES, content), "refused"
    for content in LABEL_TABLES:
        yield "label table", repr(content[:40]), partial(_written, LABELS, content), "refused"
    for content in (
        b"",
        b"\n\n",
        b"\xff\xfe0\x000\x00",
        b"000\n000\n",
        b"000 1\n",
        "0\u00000\n".encode(),
        b"\x80abc\n",
    ):
        yield "split list", repr(content[:40]), partial(_written, LIST, content), "refused"
    for name in (LIST, LABELS, CLASSES, "JPEGImages/001.jpg", "SegmentationClass/001.png"):
        for change in (damage.folder, damage.loop, damage.dangling, damage.pipe, damage.noise):
            yield "odd file", f"{name} {change.__name__}", partial(_in_place, name, change), "refused"
    for name in ("JPEGImages", "ImageSets", "ImageSets/Segmentation", LIST, "JPEGImages/001.jpg"):
        expected = "either" if name.startswith("ImageSets") and name != LIST else "refused"
        yield "missing part", name, partial(_gone, name), expected
    for text in ANNOTATIONS:
        yield "annotation", repr(text)[:50], partial(_xml, text), "refused"


def _pictures() -> Iterator[tuple[str, str, Callable[[Path], None], str]]:
    big = Image.new("L", (6000, 6000))
    for name, content, expected in (
        ("empty", damage.empty, "refused"), ("half", damage.half, "refused"), ("middle", damage.middle, "refused"),
        ("bomb", _bomb, "refused"), ("36 megapixels", _saved(big, quality=10), "refused"),
        ("16 bits", _deep_png, "refused"), ("float TIFF", _saved(Image.new("F", (64, 48)), format="TIFF"), "refused"),
        ("GIF", _saved(Image.new("L", (64, 48)), format="GIF"), "refused"),
        ("BMP", _saved(Image.new("RGB", (64, 48)), format="BMP"), "refused"),
        ("orientation 9", _turned(9), "accepted"), ("orientation 6", _turned(6), "refused"),  # the mask is not turned
        ("orientation 1", _turned(1), "accepted"), ("one pixel", _saved(Image.new("RGB", (1, 1))), "refused"),
        ("CMYK", _saved(Image.new("CMYK", (64, 56))), "accepted"),
    ):  # fmt: skip
        yield "photograph", name, partial(_photograph, content), expected
    for name, change, expected in (
        ("0 and 255", lambda mask: np.where(mask > 0, 255, 0).astype(np.uint8), "refused"),
        ("all 255", lambda mask: np.full_like(mask, 255), "refused"),
        ("indices shifted", lambda mask: np.where(mask > 0, mask + 1, 0).astype(np.uint8), "refused"),
        ("classes swapped", lambda mask: np.choose(mask, [0, 2, 1]).astype(np.uint8), "refused"),
        ("turned", lambda mask: mask.T, "refused"),
        ("colours", lambda mask: np.stack([mask * 100] * 3, -1), "refused"),
        ("16 bits", lambda mask: mask.astype(np.uint16), "refused"),
        ("one bit", lambda mask: mask > 0, "either"),
        ("inverted", lambda mask: 255 - mask, "refused"),
    ):
        yield "mask", name, partial(_mask, change), expected
    yield "mask", "JPEGs named .png", _jpeg_masks, "refused"
    yield "mask", "0 and 255 of one class", _only_255, "refused"
    yield "photograph", "two of one id", _twin, "refused"


def _later() -> Iterator[tuple[str, Callable[[Path], None], str]]:
    """What happens to a data set after a run was made of it."""
    for name in (LIST, LABELS, CLASSES, "JPEGImages/001.jpg", "SegmentationClass/001.png"):
        for change in (remove, damage.empty, damage.half, damage.middle, damage.folder, damage.loop, damage.pipe):
            yield f"{name} {change.__name__}", partial(_in_place, name, change), "same"
    yield "another photograph", partial(_photograph, _saved(Image.new("RGB", (64, 48)))), "same"
    yield "another size", partial(_photograph, _saved(Image.new("RGB", (640, 480)))), "same"
    yield "an id more", partial(_listed, "005"), "refused"
    yield "a row more", partial(_labelled, "new"), "refused"
    yield "all photographs gone", partial(_gone, "JPEGImages"), "same"
    yield "the folder gone", partial(_gone, ""), "same"
    yield "masks gone", partial(_gone, "SegmentationClass"), "either"
    yield "half the masks gone", _half_the_masks, "refused"
    yield "validation masks all 255", _val_255, "either"


def cases() -> Iterator[Case]:
    """New runs of bad data, and finished ones whose data changes."""
    for kind, name, change, expect in (*_fresh(), *_pictures()):
        yield Case(kind, name, partial(_changed, change), expect, ("photographs",), ("new",), "photographs")
    for name, change, expect in _later():
        needs, writes = ("photographs", "own"), ("own",)
        yield Case("data changed later", name, partial(_changed_later, change), expect, needs, writes, "photographs")


def sampled() -> Iterator[Case]:
    """Every 24th."""
    return (case for number, case in enumerate(cases()) if number % 24 == 0)
