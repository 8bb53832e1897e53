"""One evaluation pass over a split."""

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
    """Metrics of the batches so far, and the images that could not be read.

    ``complete`` is True for a whole split.
    """

    accumulator: MetricAccumulator
    complete: bool = False
    unreadable: list[UnreadableImageError] = field(default_factory=list)


def run_eval_pass(
    network: Network, source: BatchSource, device: torch.device, precision: Precision, control: TrainControl
) -> EvalPass:
    """Evaluate ``network`` until ``control`` is asked to stop or pause."""
    result = EvalPass(MetricAccumulator(source.dataset.classes))
    for batch in source.batches():
        if control.stopping or control.paused:
            return result
        result.unreadable += batch.unreadable
        if len(batch):
            with torch.no_grad(), autocast(device, precision):
                logits = network(to_device(batch.inputs, device))
            result.accumulator.update(logits, to_device(batch.labels, device))
    result.complete = True
    return result
