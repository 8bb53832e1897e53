"""The learning rate schedule."""

import pytest
import torch
from torch import nn

from studio.core.recipe import Training
from studio.training.lr_schedule import lr_factor


def test_the_rate_warms_up_and_follows_a_cosine_to_nearly_zero() -> None:
    factors = [lr_factor(step, 100, Training(warmup=0.1)) for step in range(100)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.001


def test_a_constant_rate_stays() -> None:
    factors = [lr_factor(step, 10, Training(warmup=0.2, schedule="constant")) for step in range(10)]
    assert factors == [pytest.approx(1 / 3), pytest.approx(2 / 3)] + [1.0] * 8


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_that_of_torch(warmup: float) -> None:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(made, 1.0, total_steps=40, pct_start=warmup, cycle_momentum=False)
    for step in range(40):
        ours = lr_factor(step, 40, Training(warmup=warmup, schedule="one-cycle"))
        assert ours == pytest.approx(made.param_groups[0]["lr"], rel=1e-9)
        made.step()
        if step < 39:
            peer.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_short_training_has_a_rate_too(steps: int) -> None:
    assert all(0 < lr_factor(step, steps, Training(warmup=0.9)) <= 1 for step in range(steps))
    one_cycle = Training(warmup=0.9, schedule="one-cycle")
    assert all(0 < lr_factor(step, steps, one_cycle) <= 1 for step in range(steps))
