"""Preprocessing, the same in training, evaluation, prediction and export.

The geometry is that of timm's evaluation transform, pixel for pixel, so that published accuracies hold. Images are
resized and cropped as 8-bit RGB and normalized afterwards, so that the 8-bit result can be cached and augmented.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]
Pixels = NDArray[np.uint8]

_INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Size (height, width) in pixels, normalization per channel in [0, 1], and crop.

    ``crop_mode`` as in timm: "center" scales the shorter edge and crops the middle, "squash" ignores the aspect ratio,
    "border" scales the longer edge and pads. The edge is scaled to ``size / crop_pct`` before the crop.
    """

    size: Size = (224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    crop_mode: Literal["center", "squash", "border"] = "center"

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Return the preprocessing that :meth:`as_json` described."""
        values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in raw.items()}
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def resize_size(self) -> Size:
        """Size (height, width) after scaling, before the crop."""
        return math.floor(self.size[0] / self.crop_pct), math.floor(self.size[1] / self.crop_pct)

    def resize_crop(self, image: Image.Image) -> Image.Image:
        """Resize and crop an RGB image to exactly ``size``."""
        width, height = self._resized_size(image)
        if (width, height) != image.size:
            image = image.resize((width, height), _INTERPOLATIONS.get(self.interpolation, Image.Resampling.BICUBIC))
        return _crop(image, self.size, self._pad_color())

    def to_pixels(self, image: Image.Image) -> Pixels:
        """Return :meth:`resize_crop` as 8-bit values (height, width, 3)."""
        return np.array(self.resize_crop(image), dtype=np.uint8)

    def normalize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalize 8-bit (..., height, width, 3) to float32 (..., 3, height, width)."""
        scaled = pixels.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        return scaled.sub_(mean).div_(std)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return an RGB image as the backbone's input (3, height, width)."""
        return self.normalize(torch.from_numpy(self.to_pixels(image)))

    def _resized_size(self, image: Image.Image) -> Size:
        """Return (width, height) after scaling, rounded as in torchvision and timm."""
        width, height = image.size
        tall, wide = self.resize_size
        if self.crop_mode == "squash":
            return wide, tall
        if self.crop_mode == "border":
            ratio = max(height / tall, width / wide)
            return max(1, round(width / ratio)), max(1, round(height / ratio))
        if tall != wide:
            ratio = min(height / tall, width / wide)
            return round(width / ratio), round(height / ratio)
        if width <= height:
            return tall, int(tall * height / width)
        return int(tall * width / height), tall

    def _pad_color(self) -> tuple[int, ...]:
        return tuple(round(255 * value) for value in self.mean) if self.crop_mode == "border" else (0, 0, 0)


def _crop(image: Image.Image, size: Size, fill: tuple[int, ...]) -> Image.Image:
    height, width = size
    if image.width < width or image.height < height:
        image = _pad(image, max(width, image.width), max(height, image.height), fill)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    if (image.width, image.height) == (width, height):
        return image
    return image.crop((left, top, left + width, top + height))


def _pad(image: Image.Image, width: int, height: int, fill: tuple[int, ...]) -> Image.Image:
    canvas = Image.new("RGB", (width, height), fill)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
