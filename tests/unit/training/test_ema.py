"""The EMA of the adapter weights."""

import torch
from torch import nn

from studio.core.recipe import Attachment
from studio.peft import attach
from studio.training.ema import ModelEma


def test_the_ema_follows_the_formula_and_can_be_swapped_in() -> None:
    torch.manual_seed(0)
    attached = attach(nn.Sequential(nn.Linear(3, 3)), [Attachment(name="x", method="bitfit", at=("0",))], head=False)
    (name, bias), = attached.named_parameters()  # fmt: skip
    made, expected = ModelEma(attached, 0.5), bias.detach().clone()
    for step in range(20):
        with torch.no_grad():
            bias.add_(torch.randn(3))
        made.update(step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * bias.detach()
    assert torch.allclose(made.tensors[name], expected)
    trained = bias.detach().clone()
    with made.swapped_in():
        assert torch.equal(bias, made.tensors[name])
    assert torch.equal(bias, trained)
