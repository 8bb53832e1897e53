"""Random changes to training images, the same for the same (seed, epoch, image) whatever thread makes them.

The random numbers come from a generator of each sample's own, never from a shared one, so that a resumed run sees the
same images.
No preset mirrors: it turns some digits, letters and signs into others, and the program cannot know.
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
    """The largest change of each kind; a sample's own is drawn evenly from minus to plus that.

    ``rotation`` and ``shear`` in degrees, ``translation`` as a fraction of the edge, the others as a fraction of one.
    ``erasing`` is the probability that a rectangle is painted over with the image's mean colour, ``flip`` that left and
    right are swapped.
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
        """What a recipe asks for; None where that changes nothing."""
        made = cls(**preset_magnitudes(transforms))
        return made if made != cls() else None

    def apply(self, pixels: Pixels, seed: int, epoch: int, index: int) -> Pixels:
        """A changed copy of an 8-bit RGB image (height, width, 3)."""
        draw = random.Random(f"{seed}/{epoch}/{index}")
        image = self._color_jitter(self._random_affine(Image.fromarray(pixels), pixels, draw), draw)
        changed = np.array(image)
        if draw.random() < self.erasing:
            _random_erasing(changed, draw)
        if self.flip and draw.random() < self.flip:
            changed = np.ascontiguousarray(changed[:, ::-1])
        return changed

    def _random_affine(self, image: Image.Image, pixels: Pixels, rng: random.Random) -> Image.Image:
        """Rotate, shift, scale and shear; what comes in from outside has the border's mean colour."""
        moved: Image.Image = functional.affine(
            image,
            angle=_uniform(rng, self.rotation),
            translate=[round(_uniform(rng, self.translation) * edge) for edge in image.size],
            scale=1 + _uniform(rng, self.scale),
            shear=[_uniform(rng, self.shear), 0.0],
            interpolation=InterpolationMode.BILINEAR,
            fill=_border_color(pixels),
        )
        return moved

    def _color_jitter(self, image: Image.Image, rng: random.Random) -> Image.Image:
        image = functional.adjust_brightness(image, 1 + _uniform(rng, self.brightness))
        image = functional.adjust_contrast(image, 1 + _uniform(rng, self.contrast))
        recoloured: Image.Image = functional.adjust_saturation(image, 1 + _uniform(rng, self.saturation))
        return recoloured


def _uniform(rng: random.Random, limit: float) -> float:
    return rng.uniform(-limit, limit)


def _border_color(pixels: Pixels) -> list[float]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [float(value) for value in np.rint(border.mean(axis=0))]


def _random_erasing(pixels: Pixels, rng: random.Random) -> None:
    """Paint a rectangle of a fifth to two fifths of each edge over, in place."""
    height, width = (max(1, round(edge * rng.uniform(0.2, 0.4))) for edge in pixels.shape[:2])
    top, left = (rng.randint(0, edge - part) for edge, part in zip(pixels.shape[:2], (height, width), strict=True))
    pixels[top : top + height, left : left + width] = np.rint(pixels.mean(axis=(0, 1)))
