"""Image files to model input, by preprocessing.json. Requires numpy and Pillow."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
BATCH_SIZE = 16


def rgb(path: str) -> Image.Image:
    """Read a file as an upright 8-bit RGB image.

    Transparency is composited on white, and grayscale of more than 8 bits is scaled by its bit depth.
    """
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        depths = [65535.0] if image.mode.startswith("I;16") else [1.0, 255.0, 65535.0][image.mode != "F" :]
        highest = float(values.max(initial=0))
        depth = depths[0] if image.mode.startswith("I;16") else next((d for d in depths if highest <= d), highest)
        return Image.fromarray(np.clip(np.rint(values * (255 / depth)), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def scaled_size(width: int, height: int, size: list[int], crop_pct: float, crop_mode: str) -> tuple[int, int]:
    """Return (width, height) to resize to before the crop to ``size`` (height, width)."""
    tall, wide = (math.floor(edge / crop_pct) for edge in size)
    if crop_mode == "squash":
        return wide, tall
    if crop_mode == "center" and tall == wide:
        return (tall, int(tall * height / width)) if width <= height else (int(tall * width / height), tall)
    ratio = (max if crop_mode == "border" else min)(height / tall, width / wide)
    return round(width / ratio), round(height / ratio)


def fit(
    image: Image.Image,
    size: list[int],
    mean: list[float],
    std: list[float],
    interpolation: str = "bicubic",
    crop_pct: float = 1.0,
    crop_mode: str = "center",
) -> np.ndarray:
    """Resize, crop and normalize an RGB image to float32 (3, height, width)."""
    scaled = scaled_size(*image.size, size, crop_pct, crop_mode)
    if scaled != image.size:
        image = image.resize(scaled, Image.Resampling[interpolation.upper()])
    height, width = size
    if image.width < width or image.height < height:
        fill = tuple(round(255 * value) for value in mean) if crop_mode == "border" else (0, 0, 0)
        canvas = Image.new("RGB", (max(width, image.width), max(height, image.height)), fill)
        canvas.paste(image, ((canvas.width - image.width) // 2, (canvas.height - image.height) // 2))
        image = canvas
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.float32) / np.float32(255)
    return ((pixels - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)


def batch(paths: list[str]) -> np.ndarray:
    """Read image files as one float32 array (N, 3, height, width)."""
    settings = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
    return np.ascontiguousarray(np.stack([fit(rgb(path), **settings) for path in paths]))


def print_predictions(logits: Callable[[list[str]], list[list[float]]], paths: list[str]) -> None:
    """Print the most probable class of each image and its probability."""
    labels = json.loads((HERE / "labels.json").read_text(encoding="utf-8"))
    for start in range(0, len(paths), BATCH_SIZE):
        files = paths[start : start + BATCH_SIZE]
        for path, row in zip(files, np.asarray(logits(files), dtype=np.float64), strict=True):
            odds = np.exp(row - row.max())
            print(f"{path}\t{labels[int(row.argmax())]}\t{odds.max() / odds.sum():.4f}")
