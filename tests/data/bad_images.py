"""Makes a folder of images with everything that can be wrong with one, and says what should be found.

Run as ``python tests/data/bad_images.py FOLDER`` to look at it.
"""

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

LONG = "n" * 220 + ".png"
NOT_UNICODE = os.fsdecode(b"caf\xe9.png")

EXPECTED: dict[str, set[str]] = {
    "empty": {"cat/empty.png"},
    "truncated": {"cat/truncated.png", "dog/truncated.jpg"},
    "vanished": {"dog/vanished.png"},
    "bomb": {"cat/bomb.png"},
    "extreme-shape": {"cat/line.png"},
    "unreadable": {"cat/nonsense.jpg", "dog/loop.png"},
    "name-not-unicode": {f"cat/{NOT_UNICODE}"},
    "long-name": {f"cat/{LONG}"},
    "link-loop": {"cat/back"},
    "wrong-extension": {"dog/really_png.jpg"},
    "animated": {"cat/animated.gif"},
    "rotated": {"cat/turned.jpg"},
    "transparent": {"cat/clear.png"},
    "palette": {"dog/palette.png", "cat/animated.gif"},
    "cmyk": {"dog/printed.jpg"},
    "deep": {"cat/deep.png"},
    "tiny": {"dog/tiny.png"},
    "huge": {"dog/huge.png"},
    "elongated": {"dog/long.png", "dog/huge.png"},
    "duplicate": {"cat/plain.png", "cat/copy.png", "cat/shared.png", "dog/shared.png"},
    "near-duplicate": {"dog/photo.png", "dog/photo_small.jpg"},
    "two-labels": {"cat/shared.png", "dog/shared.png"},
    "imbalance": set(),
    "single-image": {"bird/only.png"},
    "empty-folder": {"void"},
    "outside-classes": {"loose.png"},
    "not-image": {"dog/notes.txt"},
}
"""The files of each finding in what :func:`make` writes, by its kind."""

LEAKING: dict[str, set[str]] = {
    "duplicate": {"train/cat/0.png", "test/cat/same.png"},
    "near-duplicate": {"train/dog/1.png", "val/dog/smaller.jpg"},
    "leakage": {"train/cat/0.png", "test/cat/same.png", "train/dog/1.png", "val/dog/smaller.jpg"},
    "no-training-images": set(),
}
"""The same for :func:`make_leaking`."""
ONE_CLASS = (
    "All images in {} are of one class, cat. Add a folder with images of another class, or choose another folder."
)
"""The error for :func:`make_one_class`."""


def picture(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """A smooth colored pattern, different for each seed; the same one at any size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def make(root: Path) -> Path:
    """Write the folder."""
    cat, dog = root / "cat", root / "dog"
    for folder in (cat, dog, root / "bird", root / "void"):
        folder.mkdir(parents=True)
    for number in range(6):
        picture(100 + number).save(cat / f"fine{number}.png")
    picture(1).save(root / "bird" / "only.png")
    picture(2).save(root / "loose.png")
    (dog / "notes.txt").write_text("not an image")
    _unusable(cat, dog)
    _odd(cat, dog)
    _same(cat, dog)
    _names(root, cat, dog)
    return root


def make_leaking(root: Path) -> Path:
    """Write ready-made splits with copies of training images in the others, and a class for validation only."""
    seed = 200
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(4):
                picture(seed, 96, 72).save(root / split / name / f"{number}.png")
                seed += 1
    (root / "test" / "cat" / "same.png").write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    picture(205, 60, 45).save(root / "val" / "dog" / "smaller.jpg", quality=90)
    (root / "val" / "bird").mkdir()
    for number in range(2):
        picture(300 + number).save(root / "val" / "bird" / f"{number}.png")
    return root


def make_one_class(root: Path) -> Path:
    """Write a folder in which one of two classes has no image that can be read."""
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    for number in range(4):
        picture(400 + number).save(root / "cat" / f"{number}.png")
    (root / "dog" / "0.png").write_bytes(b"")
    return root


def _unusable(cat: Path, dog: Path) -> None:
    (cat / "empty.png").write_bytes(b"")
    (cat / "nonsense.jpg").write_bytes(b"<html>404</html>")
    for path in (cat / "truncated.png", dog / "truncated.jpg"):
        Image.effect_noise((64, 64), 60).save(path)
        path.write_bytes(path.read_bytes()[:700])
    (cat / "bomb.png").write_bytes(_bomb(30_000, 30_000))
    Image.new("L", (4, 4_000)).save(cat / "line.png")


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has very many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000))), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _odd(cat: Path, dog: Path) -> None:
    picture(3).save(dog / "really_png.jpg", format="PNG")
    picture(4).save(cat / "animated.gif", save_all=True, append_images=[picture(5), picture(6)])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(7).save(cat / "turned.jpg", exif=exif)
    clear = picture(8).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(cat / "clear.png")
    picture(9).quantize(16).save(dog / "palette.png")
    picture(10).convert("CMYK").save(dog / "printed.jpg")
    deep = np.asarray(picture(11).convert("L"), np.uint16) * 257
    Image.fromarray(deep).save(cat / "deep.png")
    picture(12, 7, 9).save(dog / "tiny.png")
    picture(13, 9_000, 40).save(dog / "huge.png")
    picture(14, 900, 60).save(dog / "long.png")


def _same(cat: Path, dog: Path) -> None:
    for path in (cat / "plain.png", cat / "copy.png"):
        picture(15).save(path)
    for path in (cat / "shared.png", dog / "shared.png"):
        picture(16).save(path)
    picture(17).save(dog / "photo.png")
    picture(17, 128, 96).save(dog / "photo_small.jpg", quality=80)


def _names(root: Path, cat: Path, dog: Path) -> None:
    picture(18).save(cat / LONG)
    picture(19).save(cat / "plain_name.png")
    (cat / "plain_name.png").rename(cat / NOT_UNICODE)
    (cat / "back").symlink_to(root, target_is_directory=True)
    (dog / "loop.png").symlink_to("loop.png")
    (dog / "vanished.png").symlink_to("nowhere.png")


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
