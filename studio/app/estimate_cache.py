"""Estimates of memory and time of a training, measured in a subprocess and cached.

In a subprocess the measurement does not disturb this process, its random numbers included, and running out of memory
does not end it.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events, paths
from studio.core.cache import DiskCache, cache_key
from studio.core.errors import StudioError
from studio.core.events import ResourceEstimate
from studio.core.formatting import format_bytes, format_duration
from studio.core.messages import N_, Message
from studio.core.recipe import Recipe, Training

if TYPE_CHECKING:
    from studio.core.control import TrainControl

_POLL_SECONDS = 0.1
_COST_FREE_FIELDS = (
    "learning_rate",
    "weight_decay",
    "schedule",
    "warmup",
    "label_smoothing",
    "best_by",
    "patience",
    "seed",
)
"""Training settings that change neither the memory nor the time of an epoch."""
_MAX_BYTES = 10 << 20


def estimate_in_subprocess(recipe: Recipe, control: "TrainControl | None" = None) -> ResourceEstimate:
    """Train a recipe for a few steps in a subprocess, which takes some seconds.

    Raises StudioError if the recipe cannot be trained, if the memory is not enough even for small batches, or if
    ``control`` asks to stop.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        recipe.with_absolute_paths(Path.cwd()).save(path)
        event = events.parse_event(_run_child(path, control))
    if isinstance(event, events.Error):
        raise StudioError(event.code or "estimate-failed", event.text)
    if not isinstance(event, ResourceEstimate):
        raise StudioError("estimate-failed", "Cannot estimate memory and time. You can train without an estimate.")
    save_estimate(recipe, event)
    return event


def estimate_in_process(recipe: Recipe) -> ResourceEstimate:
    """Train a recipe for a few steps in this process."""
    from studio.training.estimation import resource_estimate

    estimate = resource_estimate.estimate_resources(recipe)
    save_estimate(recipe, estimate)
    return estimate


def cached_estimate(recipe: Recipe) -> ResourceEstimate | None:
    """Return the last estimate of a recipe with the same cost; None if unknown."""
    event = events.parse_event(json.dumps(_cache().get_json(_cache_key(recipe))))
    return event if isinstance(event, ResourceEstimate) else None


def save_estimate(recipe: Recipe, estimate: ResourceEstimate) -> None:
    """Save an estimate for :func:`cached_estimate`."""
    with contextlib.suppress(OSError):  # it only costs measuring again
        _cache().put_json(_cache_key(recipe), json.loads(estimate.to_json()))


def estimate_json(estimate: ResourceEstimate) -> dict[str, Any]:
    """Return the object that ``train --preflight --json`` prints."""
    return {**json.loads(estimate.to_json()), "measured_at": estimate.measured_at, "fits": estimate.fits_in_memory}


def format_estimate(estimate: ResourceEstimate) -> Message:
    """Return one line for a person."""
    values = {
        "needed": format_bytes(estimate.peak_memory_bytes),
        "free": format_bytes(estimate.available_memory_bytes),
        "time": format_duration(estimate.seconds_per_epoch),
        "device": estimate.device,
    }
    if estimate.fits_in_memory:
        return N_("memory {needed} of {free} free; about {time} per epoch on {device}", **values)
    return N_(
        "memory {needed} of {free} free, which is not enough: reduce training.batch_size, or increase "
        "training.accumulation; about {time} per epoch on {device}",
        **values,
    )


def _cache() -> DiskCache:
    return DiskCache(paths.cache_dir() / "estimates", _MAX_BYTES)


def _cache_key(recipe: Recipe) -> str:
    defaults = Training()
    training = recipe.training.model_copy(update={name: getattr(defaults, name) for name in _COST_FREE_FIELDS})
    return cache_key(recipe.with_absolute_paths(Path.cwd()).model_copy(update={"training": training}).dumps())


def _run_child(path: Path, control: "TrainControl | None") -> str:
    """Return the output of :mod:`studio.app.estimate_process` for ``path``."""
    command = [sys.executable, "-m", "studio.app.estimate_process", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as child:
        while True:
            try:
                output, problems = child.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if control is not None and control.stopping:
                    child.kill()
    if control is not None and control.stopping:
        raise StudioError("stopped", "The estimate was stopped.")
    if child.returncode < 0 or child.returncode > 128:
        raise StudioError(
            "out-of-memory",
            "The system ended the estimate, most likely because memory ran out. Reduce training.batch_size.",
        )
    if child.returncode:
        reason = problems.strip().splitlines()[-1] if problems.strip() else child.returncode
        raise StudioError("estimate-failed", "Cannot estimate memory and time: {reason}.", reason=reason)
    return output
