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
from studio.core.formatting import duration, size
from studio.core.recipe import Recipe, Training

if TYPE_CHECKING:
    from studio.core.control import TrainControl

_LOOK_UP_SECONDS = 0.1
_COST_NOTHING = (
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


def measure(recipe: Recipe, control: "TrainControl | None" = None) -> ResourceEstimate:
    """Try a recipe for a few steps in another process; takes some seconds.

    Raises StudioError where the recipe cannot be trained, its memory is not enough even for small batches, or
    ``control`` asks to stop.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        recipe.with_absolute_paths(Path.cwd()).save(path)
        found = events.parse_event(_answer(path, control))
    if not isinstance(found, ResourceEstimate):
        raise StudioError("The training could not be measured; train without knowing what it takes.")
    remember(recipe, found)
    return found


def measure_here(recipe: Recipe) -> ResourceEstimate:
    """The same in this process, for a command that does nothing else."""
    from studio.training.estimation import resource_estimate

    found = resource_estimate.estimate_resources(recipe)
    remember(recipe, found)
    return found


def known(recipe: Recipe) -> ResourceEstimate | None:
    """What was measured, maybe long ago, for this recipe or one that takes the same; None where nothing was."""
    with contextlib.suppress(OSError):
        found = events.parse_event(_place(recipe).read_text(encoding="utf-8"))
        return found if isinstance(found, ResourceEstimate) else None
    return None


def remember(recipe: Recipe, found: ResourceEstimate) -> None:
    """Keep a measurement for :func:`known`."""
    place = _place(recipe)
    with contextlib.suppress(OSError):  # it only costs measuring again
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, found.to_json())


def as_json(found: ResourceEstimate) -> dict[str, Any]:
    """The object that ``train --preflight --json`` prints."""
    return {**json.loads(found.to_json()), "measured_at": found.measured_at, "fits": found.fits_in_memory}


def as_text(found: ResourceEstimate) -> str:
    """One line for a person."""
    needs = f"memory {size(found.peak_memory_bytes)} of {size(found.available_memory_bytes)} free"
    fits = "" if found.fits_in_memory else ", which is not enough: lower training.batch_size, or raise training.accumulation"
    return f"{needs}{fits}; about {duration(found.seconds_per_epoch)} an epoch on {found.device}"


def _place(recipe: Recipe) -> Path:
    usual = Training()
    training = recipe.training.model_copy(update={name: getattr(usual, name) for name in _COST_NOTHING})
    alike = recipe.with_absolute_paths(Path.cwd()).model_copy(update={"training": training})
    name = hashlib.sha256(alike.dumps().encode()).hexdigest()[:32]
    return paths.cache_dir() / "preflight" / f"{name}.json"


def _answer(path: Path, control: "TrainControl | None") -> str:
    """What ``train --preflight --json`` prints for the recipe at ``path``."""
    command = [sys.executable, "-m", "studio", "train", str(path), "--preflight", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as child:
        while True:
            try:
                out, said = child.communicate(timeout=_LOOK_UP_SECONDS)
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
