"""How strongly training pulls at each place where something is attached: an instrument, read about once a second."""

import math
import time
from collections.abc import Iterator

import torch
from torch import nn

from studio.core.events import GradNorms

INTERVAL_SECONDS = 1.0
"""Reading costs one norm a tensor, and a GPU must be waited for: not worth it at every step."""


class GradNormMonitor:
    """Reads gradients. A place is ``attachment/path of the layer``; ``named_parameters`` are parameters as of Attached."""

    def __init__(self, named_parameters: list[tuple[str, nn.Parameter]]) -> None:
        self._parameters = [parameter for _, parameter in named_parameters]
        self._sites = [name.rpartition("/")[0] for name, _ in named_parameters]
        self._last_measured = -math.inf

    def measure(self, step: int) -> Iterator[GradNorms]:
        """The norm of the gradient at each place, after clipping; nothing where the last look was a moment ago."""
        if time.monotonic() - self._last_measured < INTERVAL_SECONDS:
            return
        self._last_measured = time.monotonic()
        norms = _grad_norms(self._parameters)
        sums = dict.fromkeys(self._sites, 0.0)
        for place, norm in zip(self._sites, norms, strict=True):
            sums[place] += norm * norm
        yield GradNorms(step=step, norms={p: math.sqrt(s) for p, s in sums.items() if math.isfinite(s)})


def _grad_norms(parameters: list[nn.Parameter]) -> list[float]:
    """The norm of each gradient, 0 where there is none, in one transfer from the device."""
    given = [(i, p.grad) for i, p in enumerate(parameters) if p.grad is not None]
    found = [0.0] * len(parameters)
    if given:
        each = torch.stack([torch.linalg.vector_norm(grad).float() for _, grad in given])
        for (i, _), norm in zip(given, each.tolist(), strict=True):
            found[i] = norm
    return found
