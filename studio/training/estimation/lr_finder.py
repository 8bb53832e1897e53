"""The learning rate range test (https://arxiv.org/abs/1506.01186): the loss while the rate rises from step to step.

It makes real steps on the recipe's own images, backbone and device. Nothing of them is kept, and no run is changed.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset.dataset import build_index
from studio.training import default_hparams
from studio.training.backend import device as devices
from studio.training.run_io import rng_state
from studio.training.trainer import Trainer

STEPS = 100
MIN_LR, MAX_LR = 1e-6, 1.0
_SMOOTHING = 0.9
_DIVERGENCE_FACTOR = 3.0
"""The test ends where the smoothed loss is this many times the lowest."""


@dataclass(frozen=True, slots=True)
class LRFinderResult:
    """Learning rates, rising, and the smoothed loss at each; ``suggestion`` is a rate to train with.

    It is ``clear`` where the loss fell enough to tell; else the suggestion is the methods' own rate.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    clear: bool


def find_lr(recipe: Recipe, control: TrainControl | None = None, steps: int = STEPS) -> LRFinderResult:
    """Try rates for ``steps`` steps, fewer where the loss goes up for good.

    torch's random numbers are as they were afterwards. Raises StudioError where the recipe cannot be trained or
    ``control`` asks to stop.
    """
    with rng_state.preserve_rng_state(devices.resolve_device(recipe.training.device)):
        found = list(sweep_lr(recipe, control or TrainControl(), steps))
    return suggest_lr(found, default_hparams.default_lr(recipe))


def sweep_lr(recipe: Recipe, control: TrainControl, steps: int = STEPS) -> Iterator[tuple[float, float]]:
    """Each rate and the smoothed loss there, as they are measured."""
    mean, lowest = 0.0, math.inf
    for number, (rate, loss) in enumerate(_losses(recipe, control, steps), 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smooth = mean / (1 - _SMOOTHING**number)
        if not smooth <= _DIVERGENCE_FACTOR * lowest:
            return
        lowest = min(lowest, smooth)
        yield rate, smooth


def _losses(recipe: Recipe, control: TrainControl, steps: int) -> Iterator[tuple[float, float]]:
    rates = np.geomspace(MIN_LR, MAX_LR, steps).tolist()
    with (
        tempfile.TemporaryDirectory() as folder,
        Trainer(Run(Path(folder)), recipe, build_index(recipe.data)) as session,
    ):
        for epoch in count():
            session.train_state.epoch, session.train_state.batch = epoch, 0
            for batch in session.batches():
                if session.train_state.step >= steps:
                    return
                if control.stopping:
                    raise StudioError("The test of learning rates was stopped.")
                rate = rates[session.train_state.step]
                yield from ((rate, e.loss) for e in session.step(batch, rate) if isinstance(e, events.Step))


def suggest_lr(points: list[tuple[float, float]], default_lr: float) -> LRFinderResult:
    """A curve with its suggestion: between a tenth of the rate of the lowest loss and where it falls most steeply."""
    rates, losses = (tuple(values) for values in zip(*points, strict=True)) if points else ((), ())
    end = int(np.argmin(losses)) if losses else 0
    clear = end >= 3 and losses[end] < 0.95 * losses[0]
    if not clear:
        return LRFinderResult(rates, losses, default_lr, False)
    slopes = np.gradient(losses[: end + 1], np.log(rates[: end + 1]))
    suggestion = math.sqrt(rates[int(np.argmin(slopes))] * rates[end] / 10)
    return LRFinderResult(rates, losses, float(f"{suggestion:.1e}"), True)
