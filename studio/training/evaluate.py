"""One pass over a split without training."""

from dataclasses import dataclass, field

import torch

from studio.core.control import TrainControl
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import BatchSource
from studio.training.backend.precision import Precision, autocast
from studio.training.inputs import Network, to_device
from studio.training.metrics import MetricAccumulator


@dataclass(slots=True)
class EvalPass:
    """The batches measured so far, and the images that could not be read and are not among them.

    ``complete`` where that is the whole split.
    """

    accumulator: MetricAccumulator
    complete: bool = False
    unreadable: list[UnreadableImageError] = field(default_factory=list)


def run_eval_pass(
    network: Network, source: BatchSource, device: torch.device, precision: Precision, control: TrainControl
) -> EvalPass:
    """Run ``network`` over all of ``source``, or until ``control`` asks to stop or to wait."""
    measured = EvalPass(MetricAccumulator(source.dataset.classes))
    for batch in source.batches():
        if control.stopping or control.paused:
            return measured
        measured.unreadable += batch.unreadable
        if len(batch):
            with torch.no_grad(), autocast(device, precision):
                logits = network(to_device(batch.inputs, device))
            measured.accumulator.update(logits, to_device(batch.labels, device))
    measured.complete = True
    return measured
