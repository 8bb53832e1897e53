"""The number to beat: what the backbone reaches with nothing attached, by a linear probe; kept until something changes.

Importing this imports no torch, so that a view can ask what is :func:`cached_baseline`.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.files import write_text
from studio.core.paths import cache_dir, resolve_path
from studio.core.recipe import Backbone, Data
from studio.data.images.file_index import ProgressCallback, no_progress
from studio.data.images.path_text import recipe_path

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.data.dataset.index import DatasetIndex


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accuracy in [0, 1] on validation images; ``images`` were looked at, for training and validation together."""

    accuracy: float
    classes: int
    images: int
    seconds: float


def cached_baseline(data: Data, backbone: Backbone) -> Baseline | None:
    """What was last measured for these images, this division and this backbone; None where nothing was."""
    found = _load_cached(_cache_file(data, backbone))
    return found[1] if found else None


def measure_baseline(
    data: Data, backbone: Backbone, control: "TrainControl", progress: ProgressCallback = no_progress
) -> Baseline:
    """Measure the number to beat, or return what is known where the images are still the same.

    StudioError where images or weights cannot be read; Stopped where ``control`` asks for it.
    """
    from studio.data.dataset.dataset import build_index

    summary = build_index(data, progress)
    file, listed = _cache_file(data, backbone), _dataset_fingerprint(summary)
    found = _load_cached(file)
    if found and found[0] == listed:
        return found[1]
    made = _run_probe(summary, backbone, control, progress)
    _save(file, {"listed": listed, **asdict(made)})
    return made


def _run_probe(
    summary: "DatasetIndex", backbone: Backbone, control: "TrainControl", progress: ProgressCallback
) -> Baseline:
    from studio.evaluation.linear_probe import linear_probe

    began = time.monotonic()
    accuracy, images = linear_probe(summary, backbone, control, progress)
    return Baseline(accuracy, len(summary.classes), images, time.monotonic() - began)


def _cache_file(data: Data, backbone: Backbone) -> Path:
    """By all that decides which images are in which split and class, and what turns them into features."""
    decided = data.model_dump(mode="json", exclude={"transforms", "acknowledged"}) | {
        "path": str(resolve_path(data.path))
    }
    decided["excluded"] = sorted(decided["excluded"])
    weights = _file_stamp(resolve_path(backbone.weights)) if backbone.weights else ""
    raw = json.dumps([decided, backbone.model_dump(mode="json"), weights], sort_keys=True)
    return cache_dir() / "baselines" / f"{hashlib.sha256(raw.encode()).hexdigest()[:24]}.json"


def _file_stamp(path: Path) -> str:
    try:
        now = path.stat()
    except OSError:
        return ""
    return f"{now.st_size}/{now.st_mtime_ns}"


def _dataset_fingerprint(summary: "DatasetIndex") -> str:
    """A hash of which images there are, how large they are, and where they are divided to."""
    named = hashlib.sha256()
    for image in summary.images:
        try:
            size = os.stat(summary.path / image.path).st_size
        except OSError:
            size = -1
        named.update(f"{recipe_path(image.path)}/{size}/{image.label}/{image.split}\n".encode())
    return named.hexdigest()


def _load_cached(file: Path) -> tuple[str, Baseline] | None:
    try:
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return raw.pop("listed"), Baseline(**raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _save(file: Path, raw: dict[str, Any]) -> None:
    """Write what was found; a full disk is no reason to fail."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(raw))
    except OSError:
        return
