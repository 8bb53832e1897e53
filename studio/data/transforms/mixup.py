"""Mixup and CutMix of training images.

See https://arxiv.org/abs/1710.09412 and https://arxiv.org/abs/1905.04899. Pairs and shares are a function of seed,
epoch and image, so that a resumed run sees the same ones. An image's own share is at least a half, so that accuracy can
count its own class as correct.
"""

import math
import random
from dataclasses import dataclass
from typing import Self

import numpy as np

from studio.core.recipe import Training
from studio.data.transforms.preprocessing import Pixels


@dataclass(frozen=True, slots=True)
class MixupCutmix:
    """Beta distributions of the shares; 0 disables one, both get half of the images."""

    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def from_training(cls, training: Training) -> Self | None:
        """Return the mixing of a recipe; None if it is disabled."""
        return cls(training.mixup, training.cutmix) if training.mixup or training.cutmix else None

    def apply(self, own: Pixels, other: Pixels, seed: int, epoch: int, index: int) -> tuple[Pixels, float]:
        """Return two 8-bit images (height, width, 3) as one, and the first's share.

        The share is from 0.5 to 1, or slightly less than 0.5 if a CutMix box is rounded to pixels.
        """
        rng = random.Random(f"{seed}/{epoch}/{index}/mix")
        use_cutmix = rng.random() * (bool(self.mixup) + bool(self.cutmix)) >= bool(self.mixup)
        lam = rng.betavariate(*[self.cutmix if use_cutmix else self.mixup] * 2)
        lam = max(lam, 1 - lam)
        return _cutmix(own, other, lam, rng) if use_cutmix else (_mixup(own, other, lam), lam)


def _mixup(own: Pixels, other: Pixels, lam: float) -> Pixels:
    weight = np.float32(lam)
    return np.rint(own * weight + other * (1 - weight)).astype(np.uint8)


def _cutmix(own: Pixels, other: Pixels, lam: float, rng: random.Random) -> tuple[Pixels, float]:
    """Return the first image with a random box of the second, and the first's share."""
    edges = own.shape[:2]
    height, width = (round(edge * math.sqrt(1 - lam)) for edge in edges)
    top, left = (rng.randint(0, edge - part) for edge, part in zip(edges, (height, width), strict=True))
    mixed = own.copy()
    mixed[top : top + height, left : left + width] = other[top : top + height, left : left + width]
    return mixed, 1 - height * width / math.prod(edges)
