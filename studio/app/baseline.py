"""The baseline: the accuracy of a linear probe on the frozen backbone, cached.

Importing this imports no torch, so that a view can ask for :func:`cached_baseline`.
"""

import contextlib
import hashlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.cache import DiskCache, cache_key
from studio.core.paths import cache_dir, resolve_path
from studio.core.recipe import Backbone, Data
from studio.data.images.file_index import ProgressCallback, no_progress
from studio.data.images.path_text import recipe_path

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.data.dataset.index import DatasetIndex


_MAX_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accuracy in [0, 1] on the validation images.

    ``images`` counts the training and validation images together.
    """

    accuracy: float
    classes: int
    images: int
    seconds: float


def cached_baseline(data: Data, backbone: Backbone) -> Baseline | None:
    """Return the last baseline of these images, split and backbone; None if unknown."""
    entry = _load_cached(_cache_key(data, backbone))
    return entry[1] if entry else None


def measure_baseline(
    data: Data, backbone: Backbone, control: "TrainControl", progress: ProgressCallback = no_progress
) -> Baseline:
    """Measure the baseline, or return the known one if the images are still the same.

    Raises StudioError if images or weights cannot be read; Cancelled if ``control`` asks for it.
    """
    from studio.data.dataset.dataset import build_index

    index = build_index(data, progress)
    key, fingerprint = _cache_key(data, backbone), _dataset_fingerprint(index)
    entry = _load_cached(key)
    if entry and entry[0] == fingerprint:
        return entry[1]
    baseline = _run_probe(index, backbone, control, progress)
    with contextlib.suppress(OSError):  # a full disk only costs measuring again
        _cache().put_json(key, {"listed": fingerprint, **asdict(baseline)})
    return baseline


def _run_probe(
    index: "DatasetIndex", backbone: Backbone, control: "TrainControl", progress: ProgressCallback
) -> Baseline:
    from studio.evaluation.linear_probe import linear_probe

    began = time.monotonic()
    accuracy, images = linear_probe(index, backbone, control, progress)
    return Baseline(accuracy, len(index.classes), images, time.monotonic() - began)


def _cache() -> DiskCache:
    return DiskCache(cache_dir() / "baselines", _MAX_BYTES)


def _cache_key(data: Data, backbone: Backbone) -> str:
    """Return a hash of all that decides the split, the classes and the features."""
    settings = data.model_dump(mode="json", exclude={"transforms", "acknowledged"})
    settings |= {"path": str(resolve_path(data.path)), "excluded": sorted(settings["excluded"])}
    weights = _file_stamp(resolve_path(backbone.weights)) if backbone.weights else ""
    return cache_key(settings, backbone.model_dump(mode="json"), weights)


def _file_stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size}/{stat.st_mtime_ns}"


def _dataset_fingerprint(index: "DatasetIndex") -> str:
    """Return a hash of the images' names, sizes, classes and splits."""
    digest = hashlib.sha256()
    for image in index.images:
        try:
            size = os.stat(index.path / image.path).st_size
        except OSError:
            size = -1
        digest.update(f"{recipe_path(image.path)}/{size}/{image.label}/{image.split}\n".encode())
    return digest.hexdigest()


def _load_cached(key: str) -> tuple[str, Baseline] | None:
    try:
        raw = dict(_cache().get_json(key))
        return str(raw.pop("listed")), Baseline(**raw)
    except (ValueError, KeyError, TypeError):
        return None
