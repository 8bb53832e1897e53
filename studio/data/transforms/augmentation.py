"""Random augmentation: a function of (seed, epoch, image), on any thread.

Each sample has a random generator of its own, so that a resumed run sees the same images. No preset mirrors: that turns
some digits, letters and signs into others.
"""

import random
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from studio.core.recipe import Transforms
from studio.data.transforms.augmentation_presets import preset_magnitudes
from studio.data.transforms.preprocessing import Pixels


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Largest change of each kind; a sample's own is uniform in [-limit, limit].

    ``rotation`` and ``shear`` are in degrees, ``translation`` is a fraction of the edge, the others are fractions of
    one. ``erasing`` is the probability that a rectangle gets the image's mean color, ``flip`` that left and right swap.
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erasing: float = 0.0
    flip: float = 0.0

    @classmethod
    def from_transforms(cls, transforms: Transforms) -> Self | None:
        """Return the augmentation of a recipe; None if it changes nothing."""
        augmentation = cls(**preset_magnitudes(transforms))
        return augmentation if augmentation != cls() else None

    def apply(self, pixels: Pixels, seed: int, epoch: int, index: int) -> Pixels:
        """Return a changed copy of an 8-bit RGB image of shape (height, width, 3)."""
        rng = random.Random(f"{seed}/{epoch}/{index}")
        image = self._color_jitter(self._random_affine(Image.fromarray(pixels), pixels, rng), rng)
        changed = np.array(image)
        if rng.random() < self.erasing:
            _random_erasing(changed, rng)
        if self.flip and rng.random() < self.flip:
            changed = np.ascontiguousarray(changed[:, ::-1])
        return changed

    def _random_affine(self, image: Image.Image, pixels: Pixels, rng: random.Random) -> Image.Image:
        """Rotate, shift, scale and shear; pixels from outside get the border's mean color."""
        angle = _uniform(rng, self.rotation)
        shift = [round(_uniform(rng, self.translation) * edge) for edge in image.size]
        scale = 1 + _uniform(rng, self.scale)
        shear = _uniform(rng, self.shear)
        if (angle, *shift, scale, shear) == (0, 0, 0, 1, 0):  # gives the same pixels, slowly
            return image
        moved: Image.Image = functional.affine(
            image,
            angle=angle,
            translate=shift,
            scale=scale,
            shear=[shear, 0.0],
            interpolation=InterpolationMode.BILINEAR,
            fill=_border_color(pixels),
        )
        return moved

    def _color_jitter(self, image: Image.Image, rng: random.Random) -> Image.Image:
        adjustments = (
            (functional.adjust_brightness, self.brightness),
            (functional.adjust_contrast, self.contrast),
            (functional.adjust_saturation, self.saturation),
        )
        for adjust, limit in adjustments:
            factor = 1 + _uniform(rng, limit)
            image = image if factor == 1 else adjust(image, factor)
        return image


def _uniform(rng: random.Random, limit: float) -> float:
    return rng.uniform(-limit, limit)


def _border_color(pixels: Pixels) -> list[float]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [float(value) for value in np.rint(border.mean(axis=0))]


def _random_erasing(pixels: Pixels, rng: random.Random) -> None:
    """Fill a random rectangle, 0.2 to 0.4 of each edge, with the mean color, in place."""
    height, width = (max(1, round(edge * rng.uniform(0.2, 0.4))) for edge in pixels.shape[:2])
    top, left = (rng.randint(0, edge - part) for edge, part in zip(pixels.shape[:2], (height, width), strict=True))
    pixels[top : top + height, left : left + width] = np.rint(pixels.mean(axis=(0, 1)))
