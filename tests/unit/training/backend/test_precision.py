"""The choice between float32 and bfloat16."""

import pytest
import torch

from studio.app import doctor
from studio.training.backend import precision


@pytest.mark.parametrize(
    ("hardware", "gain", "expected"),
    [(True, 2.0, "bfloat16"), (True, 1.0, "float32"), (False, 9.0, "float32")],
)
def test_auto_needs_the_hardware_and_a_measured_gain(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, gain: float, expected: str
) -> None:
    monkeypatch.setattr(precision, "supports_bfloat16", lambda _: hardware)
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda _: gain)
    cpu = torch.device("cpu")
    assert precision.resolve_precision("auto", cpu) == expected
    assert precision.resolve_precision("float32", cpu) == "float32"
    assert precision.resolve_precision("bfloat16", cpu) == "bfloat16"


def test_the_gain_is_measured() -> None:
    cpu = torch.device("cpu")
    if precision.supports_bfloat16(cpu):
        assert 0.05 < precision.bfloat16_speedup(cpu) < 50


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_a_cpu_with_bfloat16_is_known_on_every_system(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "any", name: True})
    assert precision.supports_bfloat16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "any", name: False})
    assert not precision.supports_bfloat16(torch.device("cpu"))


@pytest.mark.parametrize("able", [True, False])
def test_doctor_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    monkeypatch.setattr(precision, "supports_bfloat16", lambda _: able)
    assert doctor._check_bfloat16().state == ("ok" if able else "note")
