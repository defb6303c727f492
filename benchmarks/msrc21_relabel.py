"""Correct the masks of the `msrc21` folder: outlines are kept, each region gets the class that is seen in it.

    python benchmarks/msrc21_relabel.py --data ROOT --out OUT            # the corrected folder
    python benchmarks/msrc21_relabel.py --data ROOT --sheets FOLDER      # contact sheets, lettered regions

The decisions are in msrc21_relabel.csv: a row an image, a `letter=class` a region. `void` is what mixes an object
with its surroundings: the masks as given join some regions, and no renaming can part them.
"""

import argparse
import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sscnb.datasets import save_mask
from sscnb.errors import UserError

LEAST = 0.003  # share of the image below which a connected component goes with the largest one of its value
BRIGHT = np.array([(230, 40, 40), (40, 110, 255), (40, 190, 60), (240, 200, 0), (200, 60, 220), (0, 200, 210)])
CELL = (266, 178)  # width and height of a photograph on a contact sheet


def components(mask: np.ndarray) -> np.ndarray:
    """Letter the regions of a mask (H, W): 0 is A, 1 is B, ... by value, then from the top (4-connected)."""
    letters, count = np.zeros(mask.shape, int), 0
    for value in np.unique(mask):
        labels, _ = ndimage.label(mask == value)
        sizes = np.bincount(labels.ravel())[1:]
        main = int(sizes.argmax())
        kept = [i for i, size in enumerate(sizes) if size >= LEAST * mask.size or i == main]
        letter = np.full(len(sizes), kept.index(main))
        letter[kept] = np.arange(len(kept))
        letters[labels > 0] = count + letter[labels[labels > 0] - 1]
        count += len(kept)
    return letters


def read_decisions(path: Path) -> dict[str, dict[str, str]]:
    """Return {image id: {letter: class name, `bg` or `void`}}."""
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: dict(part.split("=") for part in row["components"].split(";")) for row in rows}


def correct(name: str, mask: np.ndarray, decision: dict[str, str], classes: list[str]) -> np.ndarray:
    """Return the mask (H, W) with the decided class in each region.

    Raises:
        UserError: the letters are not those of this mask, or a class is unknown.
    """
    letters = components(mask)
    expected = [chr(65 + i) for i in range(letters.max() + 1)]
    values = {"bg": 0, "void": 255} | {label: i for i, label in enumerate(classes, 1)}
    if sorted(decision) != expected or not set(decision.values()) <= set(values):
        raise UserError(f"{name} has regions {', '.join(expected)}, but msrc21_relabel.csv says {decision}.")
    return np.array([values[decision[letter]] for letter in expected], np.uint8)[letters]


def cell(root: Path, name: str, classes: list[str] | None) -> np.ndarray:
    """Draw a photograph, its mask with lettered regions (named ones when `classes` is given) and its labels."""
    photo = Image.open(root / "JPEGImages" / f"{name}.jpg").convert("RGB")
    mask = np.array(Image.open(root / "SegmentationClass" / f"{name}.png"))
    letters = components(mask)
    order = np.searchsorted(np.unique(mask), mask)
    scale = min(CELL[0] / photo.width, CELL[1] / photo.height)
    size = round(photo.width * scale), round(photo.height * scale)
    blend = 0.75 * BRIGHT[order % len(BRIGHT)] + 0.25 * np.asarray(photo.convert("L"))[..., None]
    picture = Image.new("RGB", (2 * CELL[0] + 8, CELL[1] + 20), "white")
    picture.paste(photo.resize(size), (0, 0))
    picture.paste(Image.fromarray(blend.astype(np.uint8)).resize(size), (size[0] + 2, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(18 if classes is None else 13)
    for index in range(letters.max() + 1):
        depth = ndimage.distance_transform_edt(np.pad(letters == index, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        text = chr(65 + index) if classes is None else ["bg", *classes, "void"][min(mask[y, x], len(classes) + 1)]
        draw.text((size[0] + 2 + x * scale, y * scale), text, "white", font, "mm", stroke_width=2, stroke_fill="black")
    labels = [found.text for found in ElementTree.parse(root / "Annotations" / f"{name}.xml").iterfind("object/name")]
    draw.text((2, CELL[1] + 1), f"{name}: {' '.join(dict.fromkeys(labels))}", "black", ImageFont.load_default(14))
    return np.asarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description="Correct the masks of the msrc21 folder, or draw contact sheets.")
    parser.add_argument("--data", type=Path, required=True, help="the msrc21 folder")
    parser.add_argument("--out", type=Path, help="write the corrected folder here")
    parser.add_argument("--sheets", type=Path, help="draw contact sheets here: of the corrected masks with --out")
    arguments = parser.parse_args()
    root, out = arguments.data.resolve(), arguments.out
    if out and out.resolve() == root:
        raise UserError("--out is the --data folder, whose masks would be lost. Name another folder.")
    classes = (root / "classes.txt").read_text(encoding="utf-8").split()
    paths = sorted((root / "SegmentationClass").glob("*.png"))
    if out:
        decisions = read_decisions(Path(__file__).with_suffix(".csv"))
        changed = []
        for path in paths:
            before = np.array(Image.open(path))
            after = correct(path.stem, before, decisions.get(path.stem, {}), classes)
            save_mask(out / "SegmentationClass" / path.name, after)
            changed.append(before != after)
        for part in ("JPEGImages", "Annotations", "ImageSets", "classes.txt"):
            if not (out / part).exists():
                (out / part).symlink_to(root / part)
        share = np.concatenate([pixels.ravel() for pixels in changed]).mean()
        print(f"{sum(pixels.any() for pixels in changed)} of {len(paths)} masks changed, {share:.1%} of the pixels")
    if arguments.sheets:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
        for first in range(0, len(paths), 15):
            cells = [cell(out or root, path.stem, classes if out else None) for path in paths[first : first + 15]]
            cells += [np.full_like(cells[0], 255)] * (15 - len(cells))
            rows = [np.concatenate(cells[i : i + 3], axis=1) for i in range(0, 15, 3)]
            Image.fromarray(np.concatenate(rows)).save(arguments.sheets / f"sheet{first // 15:02d}.png")


if __name__ == "__main__":
    main()
