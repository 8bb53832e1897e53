"""Learning rate finder: the loss while the learning rate rises.

See https://arxiv.org/abs/1506.01186. It makes real steps with the images, backbone and device of the recipe, and keeps
none of them.
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
"""Smoothed loss, as a multiple of the lowest, at which the test ends."""


@dataclass(frozen=True, slots=True)
class LRFinderResult:
    """Rising learning rates, the smoothed loss at each, and a suggestion.

    ``clear`` is False if the loss did not fall enough; the suggestion is then the default of the methods.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    clear: bool


def find_lr(recipe: Recipe, control: TrainControl | None = None, steps: int = STEPS) -> LRFinderResult:
    """Test learning rates until the loss diverges, and suggest one.

    The random generators are restored. Raise StudioError if the recipe cannot be trained or ``control`` is stopped.
    """
    with rng_state.preserve_rng_state(devices.resolve_device(recipe.training.device)):
        points = list(sweep_lr(recipe, control or TrainControl(), steps))
    return suggest_lr(points, default_hparams.default_lr(recipe))


def sweep_lr(recipe: Recipe, control: TrainControl, steps: int = STEPS) -> Iterator[tuple[float, float]]:
    """Yield each learning rate and its smoothed loss as they are measured."""
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
        Trainer(Run(Path(folder)), recipe, build_index(recipe.data)) as trainer,
    ):
        for epoch in count():
            trainer.train_state.epoch, trainer.train_state.batch = epoch, 0
            for batch in trainer.batches():
                if trainer.train_state.step >= steps:
                    return
                if control.stopping:
                    raise StudioError("stopped", "The learning rate finder was stopped.")
                rate = rates[trainer.train_state.step]
                yield from ((rate, e.loss) for e in trainer.step(batch, rate) if isinstance(e, events.Step))


def suggest_lr(points: list[tuple[float, float]], default_lr: float) -> LRFinderResult:
    """Suggest a learning rate from pairs of rate and smoothed loss.

    It is the geometric mean of a tenth of the rate of the lowest loss and the rate of the steepest fall.
    """
    rates, losses = (tuple(values) for values in zip(*points, strict=True)) if points else ((), ())
    end = int(np.argmin(losses)) if losses else 0
    clear = end >= 3 and losses[end] < 0.95 * losses[0]
    if not clear:
        return LRFinderResult(rates, losses, default_lr, False)
    slopes = np.gradient(losses[: end + 1], np.log(rates[: end + 1]))
    suggestion = math.sqrt(rates[int(np.argmin(slopes))] * rates[end] / 10)
    return LRFinderResult(rates, losses, float(f"{suggestion:.1e}"), True)
