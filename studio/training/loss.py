"""The loss that a training minimises, as a function of logits and classes."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from studio.core.recipe import Training


class Objective:
    """Cross entropy as the recipe wants it; ``classes`` holds the class of every training image."""

    def __init__(self, settings: Training, labels: int, classes: Tensor, device: torch.device) -> None:
        self._smoothing = settings.label_smoothing
        self._weights = balanced(classes, labels).to(device) if settings.class_weights == "balanced" else None

    def __call__(self, logits: Tensor, classes: Tensor, second: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The mean loss of logits (images, classes) in float32 against class indices (images).

        ``second`` is, for images made of two, the other one's class and the first one's share (images).
        """
        if second is None:
            return self._losses(logits, classes).mean()
        others, shares = second
        return (self._losses(logits, classes) * shares + self._losses(logits, others) * (1 - shares)).mean()

    def _losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Image by image: so their mean divides by the images and not by their weights, in parts of a batch too."""
        return cross_entropy(logits, classes, weight=self._weights, label_smoothing=self._smoothing, reduction="none")


def balanced(classes: Tensor, labels: int) -> Tensor:
    """Weights (labels) with which each class counts the same in all, and the mean over the images is 1."""
    counts = torch.bincount(classes, minlength=labels).clamp(min=1)
    return len(classes) / (len(classes.unique()) * counts.float())
