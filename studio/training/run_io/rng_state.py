"""The states of torch's global generators, which dropout draws from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def get_rng_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that training on ``device`` uses."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def set_rng_state(device: torch.device, saved: Mapping[str, Tensor]) -> None:
    """Put back what :func:`get_rng_state` gave; a generator that was not in use then stays as it is."""
    torch.set_rng_state(saved["cpu"])
    if device.type == "cuda" and "cuda" in saved:
        torch.cuda.set_rng_state(saved["cuda"], device)
    elif device.type == "mps" and "mps" in saved:
        torch.mps.set_rng_state(saved["mps"])


@contextmanager
def preserve_rng_state(device: torch.device) -> Iterator[None]:
    """Leave the generators afterwards as they were before."""
    before = get_rng_state(device)
    try:
        yield
    finally:
        set_rng_state(device, before)
