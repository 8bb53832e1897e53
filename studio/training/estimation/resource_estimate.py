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

from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.events import ResourceEstimate
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset.dataset import MAX_CACHE_BYTES, build_index
from studio.data.dataset.index import DatasetIndex
from studio.data.loader import BatchSource
from studio.training import evaluate
from studio.training.backend import device as devices
from studio.training.backend import memory
from studio.training.feature_cache import feature_loader
from studio.training.inputs import build_loaders
from studio.training.run_io import rng_state
from studio.training.trainer import Trainer

_STEPS_PER_EPOCH = 3
"""Steps of each of the two epochs of a trial; the first of all pays for what happens once."""
_SAVES_PER_EPOCH = 2
"""Checkpoints with the optimizer in an epoch: "epoch" and "last"; "best" is much smaller."""


@dataclass(frozen=True, slots=True)
class _TrialRun:
    """What a few steps at ``batch`` images took: bytes at most, and seconds a step or an image.

    ``first_step_seconds`` is a step of the first epoch, in which what is kept of the images is computed, and ``later_step_seconds`` one after it.
    """

    batch: int
    bytes: int
    fits_in_memory: bool
    first_step_seconds: float
    later_step_seconds: float
    first_validation_seconds: float
    validation_seconds: float
    decode_seconds: float
    batch_seconds: float
    save_seconds: float
    pixel_bytes: int
    feature_bytes: int
    loading_bytes: int
    trainable: int
    device: str


@dataclass(frozen=True, slots=True)
class _LinearFit:
    """A figure as a linear function of the images in a batch, through two trials."""

    batch: int
    value: float
    slope: float

    @classmethod
    def from_trials(cls, small: _TrialRun, large: _TrialRun, value_of: Callable[[_TrialRun], float]) -> "_LinearFit":
        """Noise may bend a line: it falls nowhere, and is not steeper than one through nothing."""
        value, rise = value_of(large), value_of(large) - value_of(small)
        steep = rise / (large.batch - small.batch) if large.batch > small.batch else value / large.batch
        return cls(large.batch, value, min(max(steep, 0.0), value / large.batch))

    def __call__(self, images: int) -> float:
        return self.value + (images - self.batch) * self.slope


def estimate_resources(recipe: Recipe, control: TrainControl | None = None) -> ResourceEstimate:
    """Try the recipe for a few steps in this process, and say what the whole training takes.

    torch's random numbers are as they were afterwards. Raises StudioError where the recipe cannot be trained or
    ``control`` is asked to stop. In a process that does more than this, measure
    through :mod:`studio.app.estimate_cache`.
    """
    control = control or TrainControl()
    device = devices.resolve_device(recipe.training.device)
    with rng_state.preserve_rng_state(device):
        images, free, peak = build_index(recipe.data), memory.available_bytes(device), memory.PeakMemory(device)
        trials = [_run_trial(recipe, images, size, peak, control) for size in _trial_batch_sizes(recipe, images)]
    return _extrapolate(recipe, images, trials[0], trials[-1], free)


def _microbatch_size(recipe: Recipe, images: DatasetIndex) -> int:
    """Images that a step computes at once."""
    batch = min(recipe.training.batch_size, max(1, images.counts["train"]))
    return -(-batch // recipe.training.accumulation)


def _trial_batch_sizes(recipe: Recipe, images: DatasetIndex) -> tuple[int, ...]:
    """The batch sizes to try: a half and the whole of a small batch, a quarter and a half of a large one."""
    most = _microbatch_size(recipe, images)
    large = most if most <= 16 else most // 2
    return (large // 2, large) if large > 1 else (large,)


def _run_trial(
    recipe: Recipe, images: DatasetIndex, batch: int, peak: memory.PeakMemory, control: TrainControl
) -> _TrialRun:
    some = _trial_subset(images, batch)
    # With a second view the second epoch would again compute everything.
    views = min(1, recipe.training.fixed_views)
    plan = {"batch_size": batch, "accumulation": 1, "epochs": 2, "patience": 0, "fixed_views": views}
    small = recipe.model_copy(update={"training": recipe.training.model_copy(update=plan)})
    with tempfile.TemporaryDirectory() as folder, Trainer(Run(Path(folder)), small, some) as session:
        started: Any = next(event for event in list(session.start()) if event.kind == "started")
        loading = peak.peak_bytes()
        peak.reset()
        checked = _time_validation(session, control), _time_validation(session, control)
        first, later = (_time_epoch(session, control) for _ in range(2))
        saving = _elapsed_seconds(lambda: session.save("last"))
        return _TrialRun(
            batch=batch,
            bytes=peak.peak_bytes(),
            fits_in_memory=session.train_state.parts == 1,
            first_step_seconds=statistics.median(first[1:] or first),
            later_step_seconds=statistics.median(later),
            first_validation_seconds=checked[0],
            validation_seconds=checked[1],
            save_seconds=saving,
            pixel_bytes=math.prod(session.inputs.training.dataset.preprocessing.size) * 3,
            feature_bytes=_feature_bytes_per_image(session),
            loading_bytes=loading,
            trainable=started.trainable_parameters,
            device=started.device,
            **_time_loading(small, some, session.inputs.training),
        )


def _trial_subset(images: DatasetIndex, batch: int) -> DatasetIndex:
    """The folder with as many images as a trial looks at; the classes stay."""
    train, held = images.in_split("train"), images.in_split("validation")
    return replace(images, images=(*_evenly_spaced(train, _STEPS_PER_EPOCH * batch), *_evenly_spaced(held, batch)))


def _evenly_spaced(items: tuple[Any, ...], max_items: int) -> tuple[Any, ...]:
    """``max_items`` of the items, evenly from first to last: images of one class may all be small."""
    count = min(max_items, len(items))
    return tuple(items[index * len(items) // count] for index in range(count))


def _time_validation(trainer: Trainer, control: TrainControl) -> float:
    """Seconds an image of looking at the validation images."""
    trainer.model.eval()
    feed, device, precision = trainer.inputs, trainer.device, trainer.precision
    seconds = _elapsed_seconds(
        lambda: evaluate.run_eval_pass(feed.network, feed.validation, device, precision, control)
    )
    trainer.model.train()
    _check_not_stopped(control)
    return seconds / max(1, len(feed.validation.dataset))


def _time_epoch(trainer: Trainer, control: TrainControl) -> list[float]:
    """Seconds of each step of an epoch, with reading its images."""
    times, begun = [], time.perf_counter()
    for batch in trainer.batches():
        for _ in trainer.step(batch):
            pass
        now = time.perf_counter()
        times.append(now - begun)
        begun = now
        _check_not_stopped(control)
    trainer.train_state.next_epoch()
    return times


def _check_not_stopped(control: TrainControl) -> None:
    if control.stopping:
        raise StudioError("The measurement was stopped.")


def _time_loading(recipe: Recipe, images: DatasetIndex, source: BatchSource) -> dict[str, float]:
    """Seconds an image of decoding it and, once decoded, of making it part of a batch, on one thread."""
    reader, other = build_loaders(recipe, images, source.dataset.preprocessing)
    with reader, other:
        size = max(1, min(recipe.training.batch_size, len(reader.dataset)))
        both = _elapsed_seconds(lambda: reader.read_batch(0, 0)) / size
        again = _elapsed_seconds(lambda: reader.read_batch(0, 0)) / size
    return {"decode_seconds": max(0.0, both - again), "batch_seconds": again}


def _feature_bytes_per_image(trainer: Trainer) -> int:
    """Bytes an image of what the frozen part of the backbone made of it; 0 where nothing is kept."""
    if not trainer.inputs.first_trained_layer:
        return 0
    inputs = next(iter(trainer.inputs.training.batches(1))).inputs
    return inputs.element_size() * inputs[0].numel() if len(inputs) else 0


@dataclass(frozen=True, slots=True)
class _CacheCost:
    """What is kept of a split: bytes in memory, and whether later epochs need not read or compute it again."""

    bytes: int
    read_once: bool
    computed_once: bool

    @classmethod
    def for_split(cls, images: int, views: int, trial: _TrialRun) -> "_CacheCost":
        pixels, made = images * trial.pixel_bytes, views * images * trial.feature_bytes
        where = feature_loader.storage_for(made) if made else "nowhere"
        in_memory = pixels * (pixels <= MAX_CACHE_BYTES) + made * (where == "memory")
        return cls(in_memory, pixels <= MAX_CACHE_BYTES or where != "nowhere", where != "nowhere")


def _elapsed_seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _extrapolate(
    recipe: Recipe, images: DatasetIndex, small: _TrialRun, large: _TrialRun, free: int
) -> ResourceEstimate:
    """From both trials to the whole training."""
    settings, at_once = recipe.training, _microbatch_size(recipe, images)
    training, held = images.counts["train"], images.counts["validation"]
    views = max(1, recipe.training.fixed_views)
    kept, kept_held = _CacheCost.for_split(training, views, large), _CacheCost.for_split(held, 1, large)
    most = _LinearFit.from_trials(small, large, lambda trial: trial.bytes)(at_once) + kept.bytes + kept_held.bytes
    later = settings.accumulation * _LinearFit.from_trials(small, large, lambda trial: trial.later_step_seconds)(
        at_once
    )
    seconds = _training_seconds(recipe, training, kept, views, small, large)
    seconds += held * (large.first_validation_seconds + settings.epochs * large.validation_seconds)
    return ResourceEstimate(
        peak_memory_bytes=int(max(most, large.loading_bytes, 0 if large.fits_in_memory else free + 1)),
        seconds_per_epoch=seconds / settings.epochs + _SAVES_PER_EPOCH * large.save_seconds,
        seconds_per_step=later,
        batch_size=settings.batch_size,
        trainable=large.trainable,
        device=large.device,
        available_memory_bytes=free,
    )


def _training_seconds(
    recipe: Recipe, images: int, cache_cost: _CacheCost, views: int, small: _TrialRun, large: _TrialRun
) -> float:
    """Seconds of all epochs without validation: those that compute everything, and those that take what is kept."""
    settings, threads = recipe.training, min(8, os.cpu_count() or 1)
    steps = settings.accumulation * -(-images // settings.batch_size)
    at_once = -(-min(settings.batch_size, images) // settings.accumulation)
    first, later = (
        _LinearFit.from_trials(small, large, f)(at_once)
        for f in (lambda t: t.first_step_seconds, lambda t: t.later_step_seconds)
    )
    full = min(views, settings.epochs) if cache_cost.computed_once else settings.epochs
    reading = images * large.decode_seconds / threads * (1 if cache_cost.read_once else settings.epochs)
    preparing = settings.epochs * images * large.batch_seconds / threads
    full_step = max(first, later) if cache_cost.computed_once else later
    return reading + preparing + steps * (full * full_step + (settings.epochs - full) * later)
