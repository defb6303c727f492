"""Reading images and masks, with errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sscnb.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)  # what PIL raises


@contextmanager
def _opened(path: str | Path, kind: str, advice: str = "") -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise UserError(f"{kind} {path} is missing.") from error
    except UNREADABLE as error:
        raise UserError(f"{kind} {path} cannot be read ({error}).{advice}") from error


_REPLACE = " Replace the file or take its id out of the split."


def read_image(path: str | Path) -> np.ndarray:
    """Return an image as H,W,3 uint8 RGB, turned upright as its EXIF tag says.

    Raises:
        UserError: the file is missing, truncated or not an image.
    """
    with _opened(path, "image", _REPLACE) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (H, W) of an image from its header alone, turned upright.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    with _opened(path, "image", _REPLACE) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5
        return (width, height) if turned else (height, width)


def read_ids(path: str | Path) -> np.ndarray:
    """Return a map of ids as H,W int32 from a grey or palette PNG of 8 bits, or a grey one of 16.

    Raises:
        UserError: the file is missing, unreadable, or a colour picture without a palette.
    """
    with _opened(path, "map") as ids:
        if ids.mode not in ("P", "L", "I;16", "I"):
            raise UserError(f"map {path} has mode {ids.mode}; expected ids in a PNG of one channel with 8 or 16 bits.")
        return np.array(ids).astype(np.int32)


def read_mask(path: str | Path) -> np.ndarray:
    """Return a mask as H,W uint8 class indices: 0 background, 255 ignored.

    Raises:
        UserError: the file is missing, unreadable, or a colour picture without a palette.
    """
    with _opened(path, "mask") as mask:
        if mask.mode not in ("P", "L"):
            raise UserError(
                f"mask {path} has mode {mask.mode}; expected class indices in an 8-bit PNG (palette or grey). "
                "Convert its colours to indices first."
            )
        return np.array(mask)
