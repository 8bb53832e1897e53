"""Peak and available memory."""

from pathlib import Path

import pytest
import torch

from studio.training.backend import memory

CPU = torch.device("cpu")


def test_peak_memory_counts_what_is_held_at_once() -> None:
    peak = memory.PeakMemory(CPU)
    block = torch.ones(40 << 20, dtype=torch.uint8)
    most = peak.peak_bytes()
    assert most >= block.numel()
    del block
    peak.reset()
    if Path("/proc/self/clear_refs").exists():
        assert peak.peak_bytes() < most


def test_available_memory_is_within_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, usage = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(memory, "_CGROUPS", ((limit, usage), (tmp_path / "none", tmp_path / "none")))
    machine = memory.available_bytes(CPU)
    assert 0 < machine < 1 << 50
    limit.write_text("1000000\n"), usage.write_text("400000\n")
    assert memory.available_bytes(CPU) == 600_000
    limit.write_text("max\n")
    assert memory.available_bytes(CPU) > 600_000
