"""What a training will take, from a few real steps at two batch sizes: memory and time, before the hours are spent.

Memory grows linearly with the images in a batch, so it is measured at small batches and carried on to the recipe's,
which need not fit. The steps are those of the training itself, on the recipe's own images, backbone and device; nothing
of them is kept.
"""

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio.core.control import Control
from studio.core.errors import StudioError
from studio.core.events import Preflight
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset.dataset import CACHE_BYTES, open_folder
from studio.data.dataset.index import DatasetSummary
from studio.data.loader import Source
from studio.training import evaluate
from studio.training.backend import device as devices
from studio.training.backend import memory
from studio.training.feature_cache import feature_loader
from studio.training.inputs import loaders
from studio.training.run_io import rng_state
from studio.training.trainer import Session

_STEPS = 3
"""Steps of each of the two epochs of a trial; the first of all pays for what happens once."""
_SAVES = 3
"""Checkpoints of an epoch: the last, the epoch's, and often the best."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a few steps at ``batch`` images took: bytes at most, and seconds a step or an image.

    ``first`` is a step of the first epoch, in which what is kept of the images is computed, and ``later`` one after it.
    """

    batch: int
    bytes: int
    enough: bool
    first: float
    later: float
    validating_first: float
    validating: float
    reading: float
    preparing: float
    saving: float
    pixel_bytes: int
    feature_bytes: int
    loading_bytes: int
    trainable: int
    device: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure as a linear function of the images in a batch, through two trials."""

    at: int
    value: float
    slope: float

    @classmethod
    def through(cls, small: _Trial, large: _Trial, figure: Callable[[_Trial], float]) -> "_Line":
        """Noise may bend a line: it falls nowhere, and is not steeper than one through nothing."""
        value, rise = figure(large), figure(large) - figure(small)
        steep = rise / (large.batch - small.batch) if large.batch > small.batch else value / large.batch
        return cls(large.batch, value, min(max(steep, 0.0), value / large.batch))

    def __call__(self, images: int) -> float:
        return self.value + (images - self.at) * self.slope


def measure(recipe: Recipe, control: Control | None = None) -> Preflight:
    """Try the recipe for a few steps in this process, and say what the whole training takes.

    torch's random numbers are as they were afterwards. Raises StudioError where the recipe cannot be trained or
    ``control`` is asked to stop. In a process that does more than this, measure
    through :mod:`studio.app.estimate_cache`.
    """
    control = control or Control()
    device = devices.resolve(recipe.training.device)
    with rng_state.kept(device):
        images, free, peak = open_folder(recipe.data), memory.available(device), memory.Peak(device)
        trials = [_try(recipe, images, size, peak, control) for size in _sizes(recipe, images)]
    return _carried_on(recipe, images, trials[0], trials[-1], free)


def _at_once(recipe: Recipe, images: DatasetSummary) -> int:
    """Images that a step computes at once."""
    batch = min(recipe.training.batch_size, max(1, images.counts["train"]))
    return -(-batch // recipe.training.accumulation)


def _sizes(recipe: Recipe, images: DatasetSummary) -> tuple[int, ...]:
    """The batch sizes to try: a half and the whole of a small batch, a quarter and a half of a large one."""
    most = _at_once(recipe, images)
    large = most if most <= 16 else most // 2
    return (large // 2, large) if large > 1 else (large,)


def _try(recipe: Recipe, images: DatasetSummary, batch: int, peak: memory.Peak, control: Control) -> _Trial:
    some = _some(images, batch)
    # With a second view the second epoch would again compute everything.
    views = min(1, recipe.training.fixed_views)
    plan = {"batch_size": batch, "accumulation": 1, "epochs": 2, "patience": 0, "fixed_views": views}
    small = recipe.model_copy(update={"training": recipe.training.model_copy(update=plan)})
    with tempfile.TemporaryDirectory() as folder, Session(Run(Path(folder)), small, some) as session:
        started: Any = next(event for event in list(session.start()) if event.kind == "started")
        loading = peak.bytes()
        peak.again()
        checked = _validation(session, control), _validation(session, control)
        first, later = (_epoch(session, control) for _ in range(2))
        saving = _timed(lambda: session.save("last"))
        return _Trial(
            batch=batch,
            bytes=peak.bytes(),
            enough=session.progress.parts == 1,
            first=statistics.median(first[1:] or first),
            later=statistics.median(later),
            validating_first=checked[0],
            validating=checked[1],
            saving=saving,
            pixel_bytes=math.prod(session.feed.training.dataset.preprocessing.size) * 3,
            feature_bytes=_feature_bytes(session),
            loading_bytes=loading,
            trainable=started.trainable_parameters,
            device=started.device,
            **_reading(small, some, session.feed.training),
        )


def _some(images: DatasetSummary, batch: int) -> DatasetSummary:
    """The folder with as many images as a trial looks at; the classes stay."""
    train, held = images.of("train"), images.of("validation")
    return replace(images, images=(*_spread(train, _STEPS * batch), *_spread(held, batch)))


def _spread(items: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    """``most`` of the items, evenly from first to last: images of one class may all be small."""
    count = min(most, len(items))
    return tuple(items[index * len(items) // count] for index in range(count))


def _validation(session: Session, control: Control) -> float:
    """Seconds an image of looking at the validation images."""
    session.attached.eval()
    feed, device, precision = session.feed, session.device, session.precision
    seconds = _timed(lambda: evaluate.measure(feed.network, feed.validation, device, precision, control))
    session.attached.train()
    _go_on(control)
    return seconds / max(1, len(feed.validation.dataset))


def _epoch(session: Session, control: Control) -> list[float]:
    """Seconds of each step of an epoch, with reading its images."""
    times, begun = [], time.perf_counter()
    for batch in session.batches():
        for _ in session.step(batch):
            pass
        now = time.perf_counter()
        times.append(now - begun)
        begun = now
        _go_on(control)
    session.progress.next_epoch()
    return times


def _go_on(control: Control) -> None:
    if control.stopping:
        raise StudioError("The measurement was stopped.")


def _reading(recipe: Recipe, images: DatasetSummary, source: Source) -> dict[str, float]:
    """Seconds an image of decoding it and, once decoded, of making it part of a batch, on one thread."""
    reader, other = loaders(recipe, images, source.dataset.preprocessing)
    with reader, other:
        size = max(1, min(recipe.training.batch_size, len(reader.dataset)))
        both = _timed(lambda: reader.batch(0, 0)) / size
        again = _timed(lambda: reader.batch(0, 0)) / size
    return {"reading": max(0.0, both - again), "preparing": again}


def _feature_bytes(session: Session) -> int:
    """Bytes an image of what the frozen part of the backbone made of it; 0 where nothing is kept."""
    if not session.feed.cut:
        return 0
    inputs = next(iter(session.feed.training.batches(1))).inputs
    return inputs.element_size() * inputs[0].numel() if len(inputs) else 0


@dataclass(frozen=True, slots=True)
class _Keeping:
    """What is kept of a split: bytes in memory, and whether later epochs need not read or compute it again."""

    bytes: int
    read_once: bool
    computed_once: bool

    @classmethod
    def of(cls, images: int, views: int, trial: _Trial) -> "_Keeping":
        pixels, made = images * trial.pixel_bytes, views * images * trial.feature_bytes
        where = feature_loader.place(made) if made else "nowhere"
        in_memory = pixels * (pixels <= CACHE_BYTES) + made * (where == "memory")
        return cls(in_memory, pixels <= CACHE_BYTES or where != "nowhere", where != "nowhere")


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _carried_on(recipe: Recipe, images: DatasetSummary, small: _Trial, large: _Trial, free: int) -> Preflight:
    """From both trials to the whole training."""
    settings, at_once = recipe.training, _at_once(recipe, images)
    training, held = images.counts["train"], images.counts["validation"]
    views = max(1, recipe.training.fixed_views)
    kept, kept_held = _Keeping.of(training, views, large), _Keeping.of(held, 1, large)
    most = _Line.through(small, large, lambda trial: trial.bytes)(at_once) + kept.bytes + kept_held.bytes
    later = settings.accumulation * _Line.through(small, large, lambda trial: trial.later)(at_once)
    seconds = _training_seconds(recipe, training, kept, views, small, large)
    seconds += held * (large.validating_first + settings.epochs * large.validating)
    return Preflight(
        peak_memory_bytes=int(max(most, large.loading_bytes, 0 if large.enough else free + 1)),
        seconds_per_epoch=seconds / settings.epochs + _SAVES * large.saving,
        seconds_per_step=later,
        batch_size=settings.batch_size,
        trainable=large.trainable,
        device=large.device,
        available_memory_bytes=free,
    )


def _training_seconds(recipe: Recipe, images: int, kept: _Keeping, views: int, small: _Trial, large: _Trial) -> float:
    """Seconds of all epochs without validation: those that compute everything, and those that take what is kept."""
    settings, threads = recipe.training, min(8, os.cpu_count() or 1)
    steps = settings.accumulation * -(-images // settings.batch_size)
    at_once = -(-min(settings.batch_size, images) // settings.accumulation)
    first, later = (_Line.through(small, large, f)(at_once) for f in (lambda t: t.first, lambda t: t.later))
    full = min(views, settings.epochs) if kept.computed_once else settings.epochs
    reading = images * large.reading / threads * (1 if kept.read_once else settings.epochs)
    preparing = settings.epochs * images * large.preparing / threads
    full_step = max(first, later) if kept.computed_once else later
    return reading + preparing + steps * (full * full_step + (settings.epochs - full) * later)
