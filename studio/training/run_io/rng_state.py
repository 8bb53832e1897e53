"""States of torch's global random number generators, which dropout uses."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def get_rng_state(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that training on ``device`` uses."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_state(device: torch.device, saved: Mapping[str, Tensor]) -> None:
    """Set the states of :func:`get_rng_state`.

    A generator that was not in use then keeps its own.
    """
    torch.set_rng_state(saved["cpu"])
    if device.type == "cuda" and "cuda" in saved:
        torch.cuda.set_rng_state(saved["cuda"], device)
    elif device.type == "mps" and "mps" in saved:
        torch.mps.set_rng_state(saved["mps"])


@contextmanager
def preserve_rng_state(device: torch.device) -> Iterator[None]:
    """Restore the generators at the end of the block."""
    before = get_rng_state(device)
    try:
        yield
    finally:
        set_rng_state(device, before)
