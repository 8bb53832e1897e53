"""Features of a frozen prefix on disk, shared between runs.

Runs that differ only in rank or learning rate have the same features.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.core import paths
from studio.core.cache import DiskCache, cache_key
from studio.data.loader import Loader
from studio.training.feature_cache.image_digests import image_digests

MAX_BYTES = 10 << 30
"""Space for the features of all runs; :class:`DiskCache` also leaves half of the free disk."""
_FEATURES, _TARGETS, _LAYOUT = "features.bin", "mix_targets.safetensors", "layout.json"


@dataclass(frozen=True, slots=True)
class CachedFeatures:
    """Features (rows, ...), and for mixup the second class and the first share (rows)."""

    features: Tensor
    mix_targets: Tensor
    mix_lambdas: Tensor


class FeatureCache:
    """The entry for the features of one loader.

    The key covers everything that features depend on: ``key_data`` (backbone, split, versions), the bytes of the images
    and the order of the batches. So the features found are equal, bit for bit, to those that would be computed.
    ``row_bytes`` is the size of one row, or less; no key is computed for features that cannot fit.
    """

    def __init__(self, key_data: Mapping[str, Any], loader: Loader, row_bytes: int, folder: Path | None = None) -> None:
        self._disk = DiskCache(folder or paths.cache_dir() / "features", MAX_BYTES)
        self._key_data, self._loader = dict(key_data), loader
        rows = max(1, loader.num_views) * len(loader.dataset)
        self._may_fit = rows * row_bytes <= MAX_BYTES
        self._key = ""

    def get(self) -> CachedFeatures | None:
        """Return the cached features; None if there are none, or they are damaged."""
        self._key = self._current_key() if self._may_fit else ""
        folder = self._disk.get(self._key) if self._key else None
        return _read(folder) if folder else None

    def put(self, cached: CachedFeatures) -> None:
        """Save features, unless an image has changed since :meth:`get`.

        A full disk is no error.
        """
        if self._key and self._key == self._current_key():
            with contextlib.suppress(OSError):
                if self._disk.has_room(cached.features.numel() * cached.features.element_size()):
                    self._disk.put(self._key, partial(_write, cached))

    def _current_key(self) -> str:
        """Return the key; "" if an image cannot be read."""
        loader, dataset = self._loader, self._loader.dataset
        try:
            digests = image_digests(dataset.root, [image.path for image in dataset.images])
        except OSError:
            return ""
        facts = {
            **self._key_data,
            "images": digests,
            "labels": dataset.labels.tolist(),
            "preprocessing": dataset.preprocessing.as_json(),
            "augmentation": asdict(loader.augmentation) if loader.augmentation else None,
            "mixing": asdict(loader.mixing) if loader.mixing else None,
            "batches": [loader.batch_size, loader.shuffle, loader.seed, loader.num_views, *loader.shard],
        }
        return cache_key(facts)


def _read(folder: Path) -> CachedFeatures | None:
    """Return the features of an entry, memory-mapped copy-on-write."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        layout = json.loads((folder / _LAYOUT).read_text(encoding="utf-8"))
        raw = torch.from_numpy(np.memmap(folder / _FEATURES, dtype=np.uint8, mode="c"))
        targets = load_file(folder / _TARGETS)
        features = raw.view(getattr(torch, layout["dtype"])).view(layout["shape"])
        return CachedFeatures(features, targets["mix_targets"], targets["mix_lambdas"])
    return None


def _write(cached: CachedFeatures, folder: Path) -> None:
    cached.features.contiguous().view(-1).view(torch.uint8).numpy().tofile(folder / _FEATURES)
    save_file({"mix_targets": cached.mix_targets, "mix_lambdas": cached.mix_lambdas}, folder / _TARGETS)
    layout = {"dtype": str(cached.features.dtype).removeprefix("torch."), "shape": list(cached.features.shape)}
    (folder / _LAYOUT).write_text(json.dumps(layout), encoding="utf-8")
