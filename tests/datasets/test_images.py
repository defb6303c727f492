"""The reader: what it takes, how it turns, and each file that is not what its name says."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sscnb.datasets import images
from sscnb.datasets.damage import jpeg_damage
from sscnb.datasets.images import image_size, read_image, read_mask, read_reduced
from sscnb.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def message(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def png(path: Path, samples: bytes, width: int, height: int, bits: int, colour: int) -> Path:
    """Write a PNG of any depth by hand; samples are packed rows without their filter bytes."""
    row = len(samples) // height
    rows = b"".join(b"\0" + samples[y * row : (y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def noisy_jpeg(**named) -> bytes:
    memory = io.BytesIO()
    large = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(large).save(memory, "JPEG", **named)
    return memory.getvalue()


# --- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", range(11))
def test_orientation(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif)
    with Image.open(path) as plain:
        expected = ImageOps.exif_transpose(plain) if 1 <= orientation <= 8 else plain  # there is no 0, 9 or 10
        assert (read_image(path) == np.array(expected.convert("RGB"))).all()
    assert image_size(path) == read_image(path).shape[:2] == read_reduced(path)[1]


@pytest.mark.parametrize("count", [0, 2, 500_000])
def test_a_tag_of_several_values_and_no_tags_at_all(tmp_path, count):
    tag = struct.pack(">HHHI", 1, 0x0112, 3, count) + struct.pack(">HH", 6, 1) + bytes(4)
    for name, exif in (("a.jpg", b"Exif\0\0MM\0*\0\0\0\x08" + tag), ("b.png", b"Exif\0\0garbage")):
        Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
        assert image_size(tmp_path / name) == read_image(tmp_path / name).shape[:2]
    assert image_size(tmp_path / "b.png") == (20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_images_of_8_bits_and_fewer(tmp_path, mode):
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as expected:
        assert (read_image(tmp_path / "a.png") == np.array(expected.convert("RGB"))).all()


def test_a_webp_under_another_name(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", "WEBP", lossless=True)
    assert (read_image(tmp_path / "a.jpg") == PIXELS).all()


@pytest.mark.parametrize(("bits", "packed"), [(1, b"\xb0"), (2, b"\x1b\x00"), (4, b"\x0f\x31")])
def test_masks_of_fewer_bits_hold_the_same_indices(tmp_path, bits, packed):
    """PIL spreads greys of 2 and 4 bits over 0..255."""
    whole = np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(-1, bits)
    expected = (whole * (1 << np.arange(bits)[::-1])).sum(1)
    width = len(expected)
    assert read_mask(png(tmp_path / "a.png", packed, width, 1, bits, 0)).tolist() == [expected.tolist()]


def test_large_photographs_at_a_fraction(tmp_path, monkeypatch):
    blocks = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((64, 96), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png"):
        Image.fromarray(blocks).convert("RGB").save(tmp_path / name, exif=exif)
    monkeypatch.setattr(images, "MAX_PIXELS", 128 * 192 // 10)
    for name in ("a.jpg", "a.png"):
        small, size = read_reduced(tmp_path / name)
        assert size == (192, 128) and small.shape == (48, 32, 3)
        corners = [small[y, x].mean() for y, x in ((2, 2), (2, -3), (-3, 2), (-3, -3))]
        assert np.allclose(corners, [255, 0, 0, 255], atol=10)
        assert "192x128 pixels" in message(read_image, tmp_path / name)
        assert "Shrink it" in message(image_size, tmp_path / name)


def test_a_small_photograph_is_read_whole(tmp_path):
    (tmp_path / "a.jpg").write_bytes(noisy_jpeg())
    assert (read_reduced(tmp_path / "a.jpg")[0] == read_image(tmp_path / "a.jpg")).all()


# --- what is refused -------------------------------------------------------------------------------------------------


def write(path: Path, kind: str) -> None:
    if kind == "16 bits, grey":
        Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "16 bits, colours":
        png(path, PIXELS.astype(">u2").tobytes(), 30, 20, 16, 2)
    elif kind == "float":
        Image.fromarray(PIXELS[..., 0].astype(np.float32)).save(path, "TIFF")
    elif kind == "gif":
        Image.fromarray(PIXELS).save(path, "GIF")
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "jpeg":
        Image.fromarray(PIXELS).save(path, "JPEG")
    elif kind == "colours":
        Image.fromarray(PIXELS).save(path, "PNG")
    elif kind == "damaged":
        Image.fromarray(PIXELS).save(path, "PNG")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("16 bits, grey", "more than 8 bits a channel"),
        ("16 bits, colours", "more than 8 bits a channel"),
        ("float", "is a TIFF, whatever its name says"),
        ("gif", "is a GIF"),
        ("text", "expected JPEG, PNG or WEBP"),
        ("empty", "expected JPEG, PNG or WEBP"),
        ("folder", "is no file"),
        ("pipe", "is no file"),
        ("loop", "circle"),
        ("damaged", "broken PNG"),
        ("absent", "is missing"),
    ],
)
def test_files_that_are_no_images(tmp_path, kind, expected):
    write(tmp_path / "a.png", kind)
    text = message(read_image, tmp_path / "a.png")
    assert str(tmp_path / "a.png") in text and expected in text and "\n" not in text
    assert message(read_reduced, tmp_path / "a.png") == text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("jpeg", "is a JPEG, whatever its name says; expected PNG"),
        ("float", "is a TIFF"),
        ("colours", "mode RGB"),
        ("16 bits, grey", "mode I;16"),
        ("text", "expected PNG"),
        ("pipe", "is no file"),
        ("damaged", "broken PNG"),
        ("absent", "is missing"),
    ],
)
def test_files_that_are_no_masks(tmp_path, kind, expected):
    write(tmp_path / "a.png", kind)
    text = message(read_mask, tmp_path / "a.png")
    assert str(tmp_path / "a.png") in text and expected in text and "\n" not in text


# --- damage inside ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_with_its_middle_overwritten(kind, capfd):
    whole = noisy_jpeg(**kind)
    assert jpeg_damage(whole) == ""
    for filling in (bytes(1000), b"\x55" * 1000, np.random.default_rng(1).bytes(4000)):
        middle = len(whole) // 2
        damaged = whole[:middle] + filling + whole[middle + len(filling) :]
        assert jpeg_damage(damaged)
    assert capfd.readouterr().err == ""


def test_padding_behind_the_picture_is_no_damage():
    whole = noisy_jpeg()
    assert jpeg_damage(whole[:-2] + bytes(64) + whole[-2:]) == ""
    assert "extraneous" in jpeg_damage(whole[:-2] + whole[400:500].replace(b"\xff", b"\x01") + whole[-2:])
    assert jpeg_damage(whole + b"trailer") == ""
