"""Run by torchrun in each of two processes: train the runs named on the command line.

Every argument is FAULT=RUN; the fault happens in the second process only.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from studio.core import events
from studio.core.control import TrainControl
from studio.core.run import Run
from studio.training import loss
from studio.training.distributed.context import DistributedContext, init_distributed
from studio.training.loop import train

TRUE = loss.cross_entropy
STOP_AT = 5


def small_memory(logits: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if len(logits) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return TRUE(logits, *args, **kwargs)


def broken_loss(broken: set[int]) -> Any:
    count = iter(range(1, 10_000))
    return lambda *args, **kwargs: TRUE(*args, **kwargs) * (float("nan") if next(count) in broken else 1)


def main(fault: str, folder: str, team: DistributedContext) -> None:
    second = team.rank == 1
    loss.cross_entropy = TRUE
    if fault == "memory" and second:
        loss.cross_entropy = small_memory
    if fault == "loss" and second:
        loss.cross_entropy = broken_loss({2, 6, 7, 8})
    control = TrainControl()
    for event in train(Run(Path(folder)), control, distributed=team):
        if fault == "stop" and second and isinstance(event, events.Step) and event.step == STOP_AT:
            control.stop()


if __name__ == "__main__":
    with init_distributed() as both:
        for argument in sys.argv[1:]:
            main(*argument.split("=", 1), both)
