"""The loss that a training minimises, as a function of logits and classes."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from studio.core.recipe import Training


class ClassificationLoss:
    """Cross entropy as the recipe wants it; ``targets`` holds the class of every training image."""

    def __init__(self, settings: Training, num_classes: int, targets: Tensor, device: torch.device) -> None:
        self._smoothing = settings.label_smoothing
        self._weights = (
            balanced_class_weights(targets, num_classes).to(device) if settings.class_weights == "balanced" else None
        )

    def __call__(self, logits: Tensor, targets: Tensor, mix: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The mean loss of logits (images, classes) in float32 against class indices (images).

        ``mix`` is, for images made of two, the other one's class and the first one's share (images).
        """
        if mix is None:
            return self._losses(logits, targets).mean()
        others, shares = mix
        return (self._losses(logits, targets) * shares + self._losses(logits, others) * (1 - shares)).mean()

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Image by image: so their mean divides by the images and not by their weights, in parts of a batch too."""
        return cross_entropy(logits, targets, weight=self._weights, label_smoothing=self._smoothing, reduction="none")


def balanced_class_weights(targets: Tensor, num_classes: int) -> Tensor:
    """Weights (labels) with which each class counts the same in all, and the mean over the images is 1."""
    counts = torch.bincount(targets, minlength=num_classes).clamp(min=1)
    return len(targets) / (len(targets.unique()) * counts.float())
