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

    def __call__(self, logits: Tensor, classes: Tensor) -> Tensor:
        """The mean loss of logits (images, classes) in float32 against class indices (images)."""
        if self._weights is None:
            return cross_entropy(logits, classes, label_smoothing=self._smoothing)
        # Divided by the number of images and not by their weights: so a batch in parts comes to the same.
        losses = cross_entropy(logits, classes, weight=self._weights, label_smoothing=self._smoothing, reduction="none")
        return losses.mean()


def balanced(classes: Tensor, labels: int) -> Tensor:
    """Weights (labels) with which each class counts the same in all, and the mean over the images is 1."""
    counts = torch.bincount(classes, minlength=labels).clamp(min=1)
    return len(classes) / (len(classes.unique()) * counts.float())
