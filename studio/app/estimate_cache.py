"""What a training will take, for whoever shows it: measured in a process of its own, and remembered.

In another process neither the measurement disturbs what this one does, its random numbers included, nor does running
out of memory end it.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events, paths
from studio.core.errors import StudioError
from studio.core.events import ResourceEstimate
from studio.core.files import write_text
from studio.core.formatting import format_bytes, format_duration
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
"""Settings of a training that change what is learnt, and neither the memory nor the time of an epoch."""


def estimate_in_subprocess(recipe: Recipe, control: "TrainControl | None" = None) -> ResourceEstimate:
    """Try a recipe for a few steps in another process; takes some seconds.

    Raises StudioError where the recipe cannot be trained, its memory is not enough even for small batches, or
    ``control`` asks to stop.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        recipe.with_absolute_paths(Path.cwd()).save(path)
        found = events.parse_event(_run_child(path, control))
    if not isinstance(found, ResourceEstimate):
        raise StudioError("The training could not be measured; train without knowing what it takes.")
    save_estimate(recipe, found)
    return found


def estimate_in_process(recipe: Recipe) -> ResourceEstimate:
    """The same in this process, for a command that does nothing else."""
    from studio.training.estimation import resource_estimate

    found = resource_estimate.estimate_resources(recipe)
    save_estimate(recipe, found)
    return found


def cached_estimate(recipe: Recipe) -> ResourceEstimate | None:
    """What was measured, maybe long ago, for this recipe or one that takes the same; None where nothing was."""
    with contextlib.suppress(OSError):
        found = events.parse_event(_cache_file(recipe).read_text(encoding="utf-8"))
        return found if isinstance(found, ResourceEstimate) else None
    return None


def save_estimate(recipe: Recipe, estimate: ResourceEstimate) -> None:
    """Keep a measurement for :func:`cached_estimate`."""
    place = _cache_file(recipe)
    with contextlib.suppress(OSError):  # it only costs measuring again
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, estimate.to_json())


def estimate_json(estimate: ResourceEstimate) -> dict[str, Any]:
    """The object that ``train --preflight --json`` prints."""
    return {**json.loads(estimate.to_json()), "measured_at": estimate.measured_at, "fits": estimate.fits_in_memory}


def format_estimate(estimate: ResourceEstimate) -> str:
    """One line for a person."""
    needs = f"memory {format_bytes(estimate.peak_memory_bytes)} of {format_bytes(estimate.available_memory_bytes)} free"
    fits = (
        ""
        if estimate.fits_in_memory
        else ", which is not enough: lower training.batch_size, or raise training.accumulation"
    )
    return f"{needs}{fits}; about {format_duration(estimate.seconds_per_epoch)} an epoch on {estimate.device}"


def _cache_file(recipe: Recipe) -> Path:
    usual = Training()
    training = recipe.training.model_copy(update={name: getattr(usual, name) for name in _COST_FREE_FIELDS})
    alike = recipe.with_absolute_paths(Path.cwd()).model_copy(update={"training": training})
    name = hashlib.sha256(alike.dumps().encode()).hexdigest()[:32]
    return paths.cache_dir() / "preflight" / f"{name}.json"


def _run_child(path: Path, control: "TrainControl | None") -> str:
    """What ``train --preflight --json`` prints for the recipe at ``path``."""
    command = [sys.executable, "-m", "studio", "train", str(path), "--preflight", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as child:
        while True:
            try:
                out, said = child.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if control is not None and control.stopping:
                    child.kill()
    if control is not None and control.stopping:
        raise StudioError("The measurement was stopped.")
    if child.returncode < 0 or child.returncode > 128:
        raise StudioError(
            "The system ended the measurement, most likely for want of memory; lower training.batch_size."
        )
    if child.returncode:
        raise StudioError(said.strip().splitlines()[-1] if said.strip() else "The training could not be measured.")
    return out
