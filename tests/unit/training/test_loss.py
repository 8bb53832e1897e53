"""The classification loss: class weights, mixup and cutmix."""

import pytest
import torch
from torch import nn

from studio.core.recipe import Training
from studio.training import loss as objective


def test_balanced_weights_let_each_class_count_the_same() -> None:
    classes = torch.tensor([0] * 8 + [1] * 2)
    weights = objective.balanced_class_weights(classes, 3)
    assert [float(weights[classes][classes == c].sum()) for c in (0, 1)] == pytest.approx([5.0, 5.0])
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    made = objective.ClassificationLoss(Training(class_weights="balanced"), 3, classes, torch.device("cpu"))
    plain = -logits.log_softmax(1)[torch.arange(10), classes]
    assert made(logits, classes) == pytest.approx(float((weights[classes] * plain).mean()))


def test_images_made_of_two_count_for_both_classes_by_their_shares() -> None:
    classes, others, shares = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 0]), torch.tensor([0.7, 1.0, 0.5])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    made = objective.ClassificationLoss(Training(mixup=0.2), 3, classes, torch.device("cpu"))
    soft = torch.zeros(3, 3).scatter_add_(1, classes[:, None], shares[:, None])
    soft.scatter_add_(1, others[:, None], 1 - shares[:, None])
    assert made(logits, classes, (others, shares)) == pytest.approx(float(nn.functional.cross_entropy(logits, soft)))
