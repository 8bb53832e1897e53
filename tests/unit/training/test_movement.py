"""The instrument that reads gradients."""

import pytest
import torch
from torch import nn

from studio.core import events
from studio.training import movement
from studio.training.movement import Gauge


@pytest.fixture
def named():
    parameters = {name: nn.Parameter(torch.zeros(2)) for name in ("lora/blocks.0/A", "lora/blocks.0/B", "ssf/norm/s")}
    parameters["lora/blocks.0/A"].grad = torch.tensor([3.0, 0.0])
    parameters["lora/blocks.0/B"].grad = torch.tensor([0.0, 4.0])
    return list(parameters.items())


def test_norms_are_taken_place_by_place_and_nothing_is_zero(named):
    seen = Gauge(named).look(7)
    assert seen.step == 7
    assert seen.norms == {"lora/blocks.0": pytest.approx(5.0), "ssf/norm": 0.0}


def test_it_is_read_now_and_then(named, monkeypatch):
    gauge = Gauge(named)
    assert gauge.look(1) is not None
    assert gauge.look(2) is None
    monkeypatch.setattr(movement, "SECONDS", 0.0)
    assert gauge.look(3).step == 3


def test_what_is_not_a_number_is_left_out(named):
    named[0][1].grad[:] = torch.nan
    assert Gauge(named).look(1).norms == {"ssf/norm": 0.0}


def test_it_comes_back_from_its_line(named):
    seen = Gauge(named).look(1)
    assert events.parse(seen.to_json()) == seen
