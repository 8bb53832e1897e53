"""Gradient norms for each layer with an attachment, measured about once a second."""

import math
import time
from collections.abc import Iterator

import torch
from torch import nn

from studio.core.events import GradNorms

INTERVAL_SECONDS = 1.0
"""Time between measurements, because each takes a norm for every tensor and a synchronization with the GPU."""


class GradNormMonitor:
    """Measures the gradients of the parameters of an adapted model."""

    def __init__(self, named_parameters: list[tuple[str, nn.Parameter]]) -> None:
        self._parameters = [parameter for _, parameter in named_parameters]
        self._sites = [name.rpartition("/")[0] for name, _ in named_parameters]
        self._last_measured = -math.inf

    def measure(self, step: int) -> Iterator[GradNorms]:
        """Yield the norms after clipping, if the last measurement is old enough.

        They are by ``attachment/layer path``.
        """
        if time.monotonic() - self._last_measured < INTERVAL_SECONDS:
            return
        self._last_measured = time.monotonic()
        norms = _grad_norms(self._parameters)
        sums = dict.fromkeys(self._sites, 0.0)
        for site, norm in zip(self._sites, norms, strict=True):
            sums[site] += norm * norm
        yield GradNorms(step=step, norms={p: math.sqrt(s) for p, s in sums.items() if math.isfinite(s)})


def _grad_norms(parameters: list[nn.Parameter]) -> list[float]:
    """Return the norm of each gradient, 0 for None, in one transfer from the device."""
    grads = [(i, p.grad) for i, p in enumerate(parameters) if p.grad is not None]
    norms = [0.0] * len(parameters)
    if grads:
        stacked = torch.stack([torch.linalg.vector_norm(grad).float() for _, grad in grads])
        for (i, _), norm in zip(grads, stacked.tolist(), strict=True):
            norms[i] = norm
    return norms
