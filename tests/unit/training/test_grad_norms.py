"""Gradient norms by layer."""

import pytest
import torch
from torch import nn

from studio.core import events
from studio.training import grad_norms
from studio.training.grad_norms import GradNormMonitor


@pytest.fixture
def named():
    parameters = {name: nn.Parameter(torch.zeros(2)) for name in ("lora/blocks.0/A", "lora/blocks.0/B", "ssf/norm/s")}
    parameters["lora/blocks.0/A"].grad = torch.tensor([3.0, 0.0])
    parameters["lora/blocks.0/B"].grad = torch.tensor([0.0, 4.0])
    return list(parameters.items())


def test_norms_are_by_layer_and_zero_without_a_gradient(named):
    (seen,) = GradNormMonitor(named).measure(7)
    assert seen.step == 7
    assert seen.norms == {"lora/blocks.0": pytest.approx(5.0), "ssf/norm": 0.0}


def test_gradient_norms_are_measured_at_intervals(named, monkeypatch):
    monitor = GradNormMonitor(named)
    assert list(monitor.measure(1))
    assert not list(monitor.measure(2))
    monkeypatch.setattr(grad_norms, "INTERVAL_SECONDS", 0.0)
    assert next(monitor.measure(3)).step == 3


def test_norms_that_are_not_finite_are_left_out(named):
    named[0][1].grad[:] = torch.nan
    assert next(GradNormMonitor(named).measure(1)).norms == {"ssf/norm": 0.0}


def test_gradient_norms_are_read_from_their_event(named):
    (seen,) = GradNormMonitor(named).measure(1)
    assert events.parse_event(seen.to_json()) == seen


def test_a_run_reports_gradient_norms(make_recipe, tmp_path):
    from studio.core.control import TrainControl
    from studio.core.run import Run
    from studio.training import loop

    run = Run.create(make_recipe(epochs=1), tmp_path / "run")
    seen = [e for e in loop.train(run, TrainControl()) if isinstance(e, events.GradNorms)]
    assert seen
    assert {place.split("/")[0] for place in seen[0].norms} == {"lora", "head"}
    assert "lora/blocks.0.attn.qkv" in seen[0].norms
    assert max(seen[0].norms.values()) > 0
