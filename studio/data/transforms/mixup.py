"""Training images made of two: mixup (https://arxiv.org/abs/1710.09412) and cutmix (https://arxiv.org/abs/1905.04899).

Which two and how much of each is decided by seed, epoch and image, so that a resumed run sees the same ones. An image
shows at least as much of itself as of the other, so "right" keeps its meaning: the class that it shows most of.
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
    """The Beta distributions that shares are drawn from; 0 does without, and both get half of the images each."""

    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def from_training(cls, training: Training) -> Self | None:
        """What a recipe asks for; None where images stay whole."""
        return cls(training.mixup, training.cutmix) if training.mixup or training.cutmix else None

    def apply(self, own: Pixels, other: Pixels, seed: int, epoch: int, index: int) -> tuple[Pixels, float]:
        """Two 8-bit images (height, width, 3) as one, and the share of the first in it, from about a half to 1."""
        draw = random.Random(f"{seed}/{epoch}/{index}/mix")
        cut = draw.random() * (bool(self.mixup) + bool(self.cutmix)) >= bool(self.mixup)
        share = draw.betavariate(*[self.cutmix if cut else self.mixup] * 2)
        share = max(share, 1 - share)
        return _cutmix(own, other, share, draw) if cut else (_mixup(own, other, share), share)


def _mixup(own: Pixels, other: Pixels, lam: float) -> Pixels:
    weight = np.float32(lam)
    return np.rint(own * weight + other * (1 - weight)).astype(np.uint8)


def _cutmix(own: Pixels, other: Pixels, lam: float, rng: random.Random) -> tuple[Pixels, float]:
    """The first with a rectangle of the second, as large as it can be in whole pixels."""
    edges = own.shape[:2]
    height, width = (round(edge * math.sqrt(1 - lam)) for edge in edges)
    top, left = (rng.randint(0, edge - part) for edge, part in zip(edges, (height, width), strict=True))
    mixed = own.copy()
    mixed[top : top + height, left : left + width] = other[top : top + height, left : left + width]
    return mixed, 1 - height * width / math.prod(edges)
