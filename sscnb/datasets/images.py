"""Reading images and masks, with errors that name the file.

Images are JPEG, PNG or WebP by content, whatever the suffix, with at most 8 bits a channel: where a file has 16,
nothing in it says how many of them carry the picture (scanners and sensors fill 10, 12 or 14), so that any scale would
be a guess. Masks are PNG: a lossy picture of class indices shows classes that nobody drew.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sscnb.errors import UserError, refusal

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".WEBP")
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)  # what PIL raises
# Of an image of a data set. Stages hold maps of it at full size, a float for each class: at 20 classes 2 GB.
MAX_PIXELS = 25_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # 8 bits a channel or fewer
_OTHERS = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"GIF8": "GIF", b"BM": "BMP", b"\xff\xd8": "JPEG", b"\x89PNG": "PNG"}
_ORIENTATION = 0x0112  # EXIF's tag: how to turn the picture, 1 for not at all
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_REPLACE = " Replace the file or take its id out of the split."
# PIL warns at 89 megapixels and refuses at twice as many; images of a data set end far below, by a message of ours.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_image(path: str | Path) -> np.ndarray:
    """Return an image as H,W,3 uint8 RGB, turned upright as its EXIF tag says.

    Raises:
        UserError: the file is missing, truncated, damaged as far as its format tells, no JPEG, PNG or WebP, of more
            than 8 bits a channel, or of more than `MAX_PIXELS`.
    """
    with _opened(path, "image", _FORMATS, _REPLACE, whole=True) as image:
        _check_size(path, image)
        _check_depth(path, image)
        return _upright_rgb(image, _orientation(image))


def read_reduced(path: str | Path) -> tuple[np.ndarray, tuple[int, int]]:
    """Return an image as `read_image`, but one of more than `MAX_PIXELS` at a fraction of its size, and its own (H, W).

    JPEGs are decoded at the smaller size at once, where they are not progressive; others take up to 0.8 GB for a
    moment at the 179 megapixels that PIL takes at most.

    Raises:
        UserError: as `read_image`, but for the size.
    """
    with _opened(path, "image", _FORMATS, _REPLACE, whole=True) as image:
        _check_depth(path, image)
        (width, height), orientation = image.size, _orientation(image)
        factor = 1
        while width * height > MAX_PIXELS * factor**2:
            factor *= 2
        image.draft("RGB", (width // factor, height // factor))  # no smaller than asked for, or not at all
        if factor > 1 and (left := min(image.width * factor // width, image.height * factor // height)) > 1:
            image = image.reduce(left)
        return _upright_rgb(image, orientation), ((width, height) if orientation >= 5 else (height, width))


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (H, W) of an image from its header alone, turned upright.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    with _opened(path, "image", _FORMATS, _REPLACE) as image:
        _check_size(path, image)
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def read_ids(path: str | Path) -> np.ndarray:
    """Return a map of ids as H,W int32 from a grey or palette PNG of 8 bits, or a grey one of 16.

    Raises:
        UserError: the file is missing, unreadable, or a colour picture without a palette.
    """
    with _opened(path, "map", ("PNG",), " Ids are grey values of a PNG.") as ids:
        if ids.mode not in ("P", "L", "I;16", "I"):
            raise UserError(f"map {path} has mode {ids.mode}; expected ids in a PNG of one channel with 8 or 16 bits.")
        return np.array(ids).astype(np.int32)


def read_mask(path: str | Path) -> np.ndarray:
    """Return a mask as H,W uint8 class indices: 0 background, 255 ignored.

    Raises:
        UserError: the file is missing, unreadable, no PNG, a colour picture without a palette, or too large.
    """
    with _opened(path, "mask", ("PNG",), " Masks are PNGs of class indices.", whole=True) as mask:
        _check_size(path, mask, "mask")
        if mask.mode not in ("P", "L", "1"):
            raise UserError(
                f"mask {path} has mode {mask.mode}; expected class indices in an 8-bit PNG (palette or grey). "
                "Convert its colours to indices first."
            )
        bits = _png_bits(path)
        values = np.array(mask).astype(np.uint8)
        # PIL spreads the greys of 2 and 4 bits over 0..255.
        return values // (255 // (2**bits - 1)) if mask.mode == "L" and bits < 8 else values


@contextmanager
def _opened(
    path: str | Path, kind: str, formats: tuple[str, ...], advice: str, *, whole: bool = False
) -> Iterator[Image.Image]:
    """Open a picture of one of the formats; `whole` checks the sums that a PNG carries, which PIL passes over."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{kind} {path} is no file.{advice}")
        with path.open("rb") as file, Image.open(file, formats=formats) as image:
            if whole and image.format == "PNG":
                content = path.read_bytes()
                Image.open(BytesIO(content), formats=("PNG",)).verify()
            yield image
    except FileNotFoundError as error:
        raise UserError(f"{kind} {path} is missing.") from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{kind} {path} {_no_format(path, formats)}.{advice}") from error
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"cannot read {kind} {refusal(error, str(path))}") from error
        raise UserError(f"{kind} {path} cannot be read ({error}).{advice}") from error


def _no_format(path: Path, formats: tuple[str, ...]) -> str:
    """Say what a file is that is of none of the formats."""
    with path.open("rb") as file:
        head = file.read(4)
    found = next((name for start, name in _OTHERS.items() if head.startswith(start)), "")
    wanted = " or ".join([", ".join(formats[:-1]), formats[-1]] if formats[1:] else formats)
    if found and found not in formats:
        return f"is a {found}, whatever its name says; expected {wanted}"
    return f"cannot be read: expected {wanted}"


def _check_size(path: str | Path, image: Image.Image, kind: str = "image") -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{kind} {path} has {width}x{height} pixels, {width * height / 1e6:.0f} million; at most "
            f"{MAX_PIXELS // 1_000_000} million are taken. Shrink it, and its mask with it, or take its id out."
        )


def _check_depth(path: str | Path, image: Image.Image) -> None:
    if image.mode not in _MODES or (image.format == "PNG" and _png_bits(path) > 8):
        raise UserError(
            f"image {path} has more than 8 bits a channel (mode {image.mode}), and does not say how many of them are "
            "used. Save it with 8 bits a channel."
        )


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; any other value is taken for 1, and so is a tag that cannot be read."""
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # tags may stand behind the pixels, whose damage is not to be taken for theirs
    try:
        found: Any = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # malformed tags raise many kinds; they say nothing of the pixels
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright_rgb(image: Image.Image, orientation: int) -> np.ndarray:
    """Decode an opened image, H,W,3 uint8."""
    turned = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
    return np.array(turned.convert("RGB"))


def _png_bits(path: str | Path) -> int:
    """Return the bits a sample of a PNG, as its header has them."""
    with Path(path).open("rb") as file:
        return file.read(25)[24]
