"""Files are decoded to upright 8-bit RGB, or refused with name and reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.data.images.decode import UnreadableImageError, read_image


def _pixel(path: Path, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = read_image(path)
    assert image.mode == "RGB"
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (20, 40)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257 * 100, 100), (65_535, 255)])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, value: int, expected: int) -> None:
    Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / "deep.png")
    assert _pixel(tmp_path / "deep.png") == (expected,) * 3


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (200.0, 200), (65_535.0, 255)])
def test_floating_point_is_scaled_by_its_depth(tmp_path: Path, value: float, expected: int) -> None:
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "deep.tif")
    assert _pixel(tmp_path / "deep.tif") == (expected,) * 3


def test_transparency_is_blended_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (4, 4), (0, 255)).save(tmp_path / "solid.png")
    assert _pixel(tmp_path / "clear.png") == (255, 255, 255)
    assert _pixel(tmp_path / "solid.png") == (0, 0, 0)


def test_a_palette_with_a_transparent_entry_is_blended_with_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.save(tmp_path / "palette.gif", transparency=0)
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "palette.png", transparency=0)
    assert _pixel(tmp_path / "palette.png", 0, 0) == (255, 255, 255)
    assert _pixel(tmp_path / "palette.png", 3, 3) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr"])
def test_other_modes_are_converted_to_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / "other.tif")
    assert min(_pixel(tmp_path / "other.tif")) >= 253


def test_a_much_larger_jpeg_is_decoded_at_a_reduced_size(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1600), "green").save(tmp_path / "large.jpg")
    assert read_image(tmp_path / "large.jpg", target_size=(32, 32)).size == (200, 200)
    assert read_image(tmp_path / "large.jpg", target_size=(400, 400)).size == (800, 800)
    assert read_image(tmp_path / "large.jpg", target_size=(401, 401)).size == (1600, 1600)


def _truncate(path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:700])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_bytes(b"not an image"), "it is not an image of a known format"),
        (lambda path: None, "the file does not exist"),
        (lambda path: path.mkdir(), "is a directory"),
        (_truncate, "truncated"),
        (lambda path: Image.new("1", (1, 501)).save(path), "one edge is more than 500 times the other"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "bad.png")
    with pytest.raises(UnreadableImageError, match=r"bad\.png") as caught:
        read_image(tmp_path / "bad.png")
    assert reason in caught.value.reason
