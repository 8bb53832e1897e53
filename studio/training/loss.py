"""Cross entropy with label smoothing, class weights and mixed targets."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from studio.core.recipe import Training


class ClassificationLoss:
    """Cross entropy with the settings of the recipe.

    ``targets`` (images) are the classes of all training images.
    """

    def __init__(self, settings: Training, num_classes: int, targets: Tensor, device: torch.device) -> None:
        self._smoothing = settings.label_smoothing
        self._weights = (
            balanced_class_weights(targets, num_classes).to(device) if settings.class_weights == "balanced" else None
        )

    def __call__(self, logits: Tensor, targets: Tensor, mix: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return the mean loss of float32 logits (N, C) and class indices (N).

        ``mix`` holds the class indices of the second images (N) and the shares of the first ones (N), for mixup and
        CutMix.
        """
        if mix is None:
            return self._losses(logits, targets).mean()
        others, shares = mix
        return (self._losses(logits, targets) * shares + self._losses(logits, others) * (1 - shares)).mean()

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each image (N).

        So the mean divides by the images, not by their weights, in micro-batches too.
        """
        return cross_entropy(logits, targets, weight=self._weights, label_smoothing=self._smoothing, reduction="none")


def balanced_class_weights(targets: Tensor, num_classes: int) -> Tensor:
    """Return weights (C) with which each class has the same sum.

    Their mean over all images is 1.
    """
    counts = torch.bincount(targets, minlength=num_classes).clamp(min=1)
    return len(targets) / (len(targets.unique()) * counts.float())
