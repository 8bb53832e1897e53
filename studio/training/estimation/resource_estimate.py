"""Memory and time of a training run, estimated from a few real steps.

Memory grows linearly with the batch size, so it is measured at two small sizes and extrapolated to that of the recipe,
which need not fit. The steps use the images, backbone and device of the recipe; none of their results is train_cost.
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
"""Steps in each of the two epochs of a trial; the first one includes warm-up costs."""
_SAVES_PER_EPOCH = 2
"""Checkpoints with the optimizer in an epoch: "epoch" and "last"; "best" is much smaller."""


@dataclass(frozen=True, slots=True)
class _TrialRun:
    """Costs of a few steps at batch size ``batch``: peak bytes, and seconds.

    ``first_step_seconds`` is of the first epoch, which fills the caches, ``later_step_seconds`` of a later one. The
    seconds of validation, decoding and batching, and the bytes of pixels and features, are per image.
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
    """A linear function of the batch size through two trials."""

    batch: int
    value: float
    slope: float

    @classmethod
    def from_trials(cls, small: _TrialRun, large: _TrialRun, value_of: Callable[[_TrialRun], float]) -> "_LinearFit":
        """Fit the line; against noise its slope and its value at 0 are not negative."""
        value, rise = value_of(large), value_of(large) - value_of(small)
        slope = rise / (large.batch - small.batch) if large.batch > small.batch else value / large.batch
        return cls(large.batch, value, min(max(slope, 0.0), value / large.batch))

    def __call__(self, images: int) -> float:
        return self.value + (images - self.batch) * self.slope


def estimate_resources(recipe: Recipe, control: TrainControl | None = None) -> ResourceEstimate:
    """Train a few steps in this process, and estimate the costs of the whole run.

    The random generators are restored. Raise StudioError if the recipe cannot be trained or ``control`` is stopped.
    Other programs measure in a process of its own, through :mod:`studio.app.estimate_cache`.
    """
    control = control or TrainControl()
    device = devices.resolve_device(recipe.training.device)
    with rng_state.preserve_rng_state(device):
        images, free, peak = build_index(recipe.data), memory.available_bytes(device), memory.PeakMemory(device)
        trials = [_run_trial(recipe, images, size, peak, control) for size in _trial_batch_sizes(recipe, images)]
    return _extrapolate(recipe, images, trials[0], trials[-1], free)


def _microbatch_size(recipe: Recipe, images: DatasetIndex) -> int:
    """Return the number of images in a micro-batch."""
    batch = min(recipe.training.batch_size, max(1, images.counts["train"]))
    return -(-batch // recipe.training.accumulation)


def _trial_batch_sizes(recipe: Recipe, images: DatasetIndex) -> tuple[int, ...]:
    """Return 1/2 and 1/1 of a small micro-batch, or 1/4 and 1/2 of a large one."""
    full = _microbatch_size(recipe, images)
    large = full if full <= 16 else full // 2
    return (large // 2, large) if large > 1 else (large,)


def _run_trial(
    recipe: Recipe, images: DatasetIndex, batch: int, peak: memory.PeakMemory, control: TrainControl
) -> _TrialRun:
    subset = _trial_subset(images, batch)
    # With a second view the second epoch would again compute everything.
    views = min(1, recipe.training.fixed_views)
    plan = {"batch_size": batch, "accumulation": 1, "epochs": 2, "patience": 0, "fixed_views": views}
    small = recipe.model_copy(update={"training": recipe.training.model_copy(update=plan)})
    with tempfile.TemporaryDirectory() as folder, Trainer(Run(Path(folder)), small, subset) as trainer:
        started: Any = next(event for event in list(trainer.start()) if event.kind == "started")
        loading = peak.peak_bytes()
        peak.reset()
        checked = _time_validation(trainer, control), _time_validation(trainer, control)
        first, later = (_time_epoch(trainer, control) for _ in range(2))
        saving = _elapsed_seconds(lambda: trainer.save("last"))
        return _TrialRun(
            batch=batch,
            bytes=peak.peak_bytes(),
            fits_in_memory=trainer.train_state.parts == 1,
            first_step_seconds=statistics.median(first[1:] or first),
            later_step_seconds=statistics.median(later),
            first_validation_seconds=checked[0],
            validation_seconds=checked[1],
            save_seconds=saving,
            pixel_bytes=math.prod(trainer.inputs.training.dataset.preprocessing.size) * 3,
            feature_bytes=_feature_bytes_per_image(trainer),
            loading_bytes=loading,
            trainable=started.trainable_parameters,
            device=started.device,
            **_time_loading(small, subset, trainer.inputs.training),
        )


def _trial_subset(images: DatasetIndex, batch: int) -> DatasetIndex:
    """Return the index with the images of a trial and all classes."""
    train, validation = images.in_split("train"), images.in_split("validation")
    subset = (*_evenly_spaced(train, _STEPS_PER_EPOCH * batch), *_evenly_spaced(validation, batch))
    return replace(images, images=subset)


def _evenly_spaced(items: tuple[Any, ...], max_items: int) -> tuple[Any, ...]:
    """Return evenly spaced items, because the images of one class may all be small."""
    count = min(max_items, len(items))
    return tuple(items[index * len(items) // count] for index in range(count))


def _time_validation(trainer: Trainer, control: TrainControl) -> float:
    """Return the seconds per image of an evaluation."""
    trainer.model.eval()
    inputs, device, precision = trainer.inputs, trainer.device, trainer.precision
    seconds = _elapsed_seconds(
        lambda: evaluate.run_eval_pass(inputs.network, inputs.validation, device, precision, control)
    )
    trainer.model.train()
    _check_not_stopped(control)
    return seconds / max(1, len(inputs.validation.dataset))


def _time_epoch(trainer: Trainer, control: TrainControl) -> list[float]:
    """Return the seconds of each step of an epoch, with loading its images."""
    times, start = [], time.perf_counter()
    for batch in trainer.batches():
        for _ in trainer.step(batch):
            pass
        now = time.perf_counter()
        times.append(now - start)
        start = now
        _check_not_stopped(control)
    trainer.train_state.next_epoch()
    return times


def _check_not_stopped(control: TrainControl) -> None:
    if control.stopping:
        raise StudioError("stopped", "The measurement was stopped.")


def _time_loading(recipe: Recipe, images: DatasetIndex, source: BatchSource) -> dict[str, float]:
    """Return the seconds per image of decoding and of batching, on one thread."""
    reader, other = build_loaders(recipe, images, source.dataset.preprocessing)
    with reader, other:
        size = max(1, min(recipe.training.batch_size, len(reader.dataset)))
        both = _elapsed_seconds(lambda: reader.read_batch(0, 0)) / size
        again = _elapsed_seconds(lambda: reader.read_batch(0, 0)) / size
    return {"decode_seconds": max(0.0, both - again), "batch_seconds": again}


def _feature_bytes_per_image(trainer: Trainer) -> int:
    """Return the bytes of cached features per image; 0 without a cache."""
    if not trainer.inputs.first_trained_layer:
        return 0
    inputs = next(iter(trainer.inputs.training.batches(1))).inputs
    return inputs.element_size() * inputs[0].numel() if len(inputs) else 0


@dataclass(frozen=True, slots=True)
class _CacheCost:
    """Caches of a split: bytes in memory, and what later epochs need not repeat."""

    bytes: int
    read_once: bool
    computed_once: bool

    @classmethod
    def for_split(cls, images: int, views: int, trial: _TrialRun) -> "_CacheCost":
        pixels, features = images * trial.pixel_bytes, views * images * trial.feature_bytes
        where = feature_loader.storage_for(features) if features else "nowhere"
        in_memory = pixels * (pixels <= MAX_CACHE_BYTES) + features * (where == "memory")
        return cls(in_memory, pixels <= MAX_CACHE_BYTES or where != "nowhere", where != "nowhere")


def _elapsed_seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _extrapolate(
    recipe: Recipe, images: DatasetIndex, small: _TrialRun, large: _TrialRun, free: int
) -> ResourceEstimate:
    """Extrapolate from both trials to the whole run."""
    settings, microbatch = recipe.training, _microbatch_size(recipe, images)
    training, validation = images.counts["train"], images.counts["validation"]
    views = max(1, settings.fixed_views)
    train_cost = _CacheCost.for_split(training, views, large)
    validation_cost = _CacheCost.for_split(validation, 1, large)
    peak = _LinearFit.from_trials(small, large, lambda trial: trial.bytes)(microbatch)
    peak += train_cost.bytes + validation_cost.bytes
    microbatch_seconds = _LinearFit.from_trials(small, large, lambda trial: trial.later_step_seconds)(microbatch)
    seconds = _training_seconds(recipe, training, train_cost, views, small, large)
    seconds += validation * (large.first_validation_seconds + settings.epochs * large.validation_seconds)
    return ResourceEstimate(
        peak_memory_bytes=int(max(peak, large.loading_bytes, 0 if large.fits_in_memory else free + 1)),
        seconds_per_epoch=seconds / settings.epochs + _SAVES_PER_EPOCH * large.save_seconds,
        seconds_per_step=settings.accumulation * microbatch_seconds,
        batch_size=settings.batch_size,
        trainable=large.trainable,
        device=large.device,
        available_memory_bytes=free,
    )


def _training_seconds(
    recipe: Recipe, images: int, cache_cost: _CacheCost, views: int, small: _TrialRun, large: _TrialRun
) -> float:
    """Return the seconds of all epochs without evaluations."""
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
