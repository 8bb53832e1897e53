"""torch.compile: the same losses, and training without it if it fails."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from studio.core import events
from studio.core.control import TrainControl
from studio.core.run import Run
from studio.training.compile import CompiledModel
from studio.training.loop import train


def _losses(run: Run) -> list[float]:
    return [event.loss for event in run.events() if isinstance(event, events.Step | events.Evaluation)]


def _compiling(monkeypatch: pytest.MonkeyPatch, compiler: Any) -> None:
    def compiled(network: Any, parameters: Any, say: Any) -> CompiledModel:
        return CompiledModel(network, parameters, say, compiler)

    monkeypatch.setattr("studio.training.trainer.CompiledModel", compiled)


def test_a_compiled_run_has_the_same_losses(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced by dynamo and differentiated by AOTAutograd; only the slow last part, making machine code, is left out."""
    usual, compiled = make_run("usual", lora=False), make_run("compiled", lora=False, compile=True)
    calls: list[int] = []

    def compiler(network: Any) -> Any:
        made = torch.compile(network, backend="aot_eager")
        return lambda inputs: calls.append(len(inputs)) or made(inputs)

    _compiling(monkeypatch, compiler)
    for run in (usual, compiled):
        list(train(run, TrainControl()))
    assert calls == [5, *[5, 5, 5, 3] * 3]
    assert _losses(compiled) == pytest.approx(_losses(usual), rel=1e-4)


def test_training_continues_with_a_warning_if_compilation_fails(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, failing = make_run("usual"), make_run("failing", compile=True)

    def fails(inputs: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        raise RuntimeError("No C++ compiler found.\nand much more")

    _compiling(monkeypatch, lambda network: fails)
    for run in (usual, failing):
        list(train(run, TrainControl()))
    said = [event.text for event in failing.events() if isinstance(event, events.Warning)]
    assert said[1:] == [
        "The backbone cannot be compiled: No C++ compiler found. Training continues without compilation."
    ]
    assert _losses(failing) == _losses(usual)
