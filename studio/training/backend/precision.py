"""The choice between float32 and bfloat16, by hardware support and a measurement.

bfloat16 halves memory traffic and is about twice as fast with hardware support. Without it, bfloat16 is emulated and 50
to 500 times slower.
"""

import time
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]

_MIN_SPEEDUP = 1.15
"""Speedup from which "auto" takes bfloat16 in spite of its lower precision."""
_CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Capabilities of a CPU, as torch names them, with which it multiplies bfloat16 matrices."""


def resolve_precision(requested: Literal["float32", "bfloat16", "auto"], device: torch.device) -> Precision:
    """Return the precision to train in.

    "auto" is bfloat16 if the hardware supports it and it is measurably faster.
    """
    if requested != "auto":
        return requested
    return "bfloat16" if supports_bfloat16(device) and bfloat16_speedup(device) >= _MIN_SPEEDUP else "float32"


def supports_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in _CPU_BFLOAT16)


def bfloat16_speedup(device: torch.device) -> float:
    """Measure how many times faster a matrix product is in bfloat16.

    The matrices are those of a small transformer; it takes a fraction of a second.
    """
    x = torch.randn(1024, 384, device=device)
    weight = torch.randn(1536, 384, device=device)
    return _matmul_seconds(x, weight) / _matmul_seconds(x.bfloat16(), weight.bfloat16())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return a context in which matrix products run in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _matmul_seconds(x: Tensor, weight: Tensor) -> float:
    """Return the shortest of 15 times, because other work only adds to it."""
    times = []
    for _ in range(15):
        start = time.perf_counter()
        torch.nn.functional.linear(x, weight).sum().item()
        times.append(time.perf_counter() - start)
    return min(times)
