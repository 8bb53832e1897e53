"""One pass over a split without training."""

from dataclasses import dataclass, field

import torch

from studio.core.control import Control
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Source
from studio.training.backend.precision import Precision, autocast
from studio.training.inputs import Network, to_device
from studio.training.metrics import Tally


@dataclass(slots=True)
class Measured:
    """The batches measured so far, and the images that could not be read and are not among them.

    ``complete`` where that is the whole split.
    """

    tally: Tally
    complete: bool = False
    unreadable: list[UnreadableImageError] = field(default_factory=list)


def measure(network: Network, source: Source, device: torch.device, precision: Precision, control: Control) -> Measured:
    """Run ``network`` over all of ``source``, or until ``control`` asks to stop or to wait."""
    measured = Measured(Tally(source.dataset.classes))
    for batch in source.batches():
        if control.stopping or control.paused:
            return measured
        measured.unreadable += batch.unreadable
        if len(batch):
            with torch.no_grad(), autocast(device, precision):
                logits = network(to_device(batch.inputs, device))
            measured.tally.add(logits, to_device(batch.labels, device))
    measured.complete = True
    return measured
