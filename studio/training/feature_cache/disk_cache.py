"""Features of a frozen prefix, kept on disk between runs: another rank or learning rate does not compute them again.

A key covers everything that they depend on, the bytes of the images included, so what is found is what would be
computed, bit for bit. Features are put there when they are complete and whole; what is longest unused goes first.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.core import paths
from studio.core.files import write_json
from studio.data.loader import Loader

MAX_BYTES = 10 << 30
"""Bytes that all kept features together may take, and no more than half of what the disk has left."""
_STALE_SECONDS = 24 * 3600
_FEATURES, _ROWS, _MANIFEST, _PARTIAL_SUFFIX = "features.bin", "rows.safetensors", "manifest.json", ".part"


@dataclass(frozen=True, slots=True)
class CachedFeatures:
    """Features (rows, ...), and for images made of two the other one's class and the first one's share (rows)."""

    features: Tensor
    mix_targets: Tensor
    mix_lambdas: Tensor


class FeatureCache:
    """The folder of kept features; ``key_data`` say of which backbone, and what computes with which versions of what."""

    def __init__(self, key_data: Mapping[str, Any], folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._key_data, self._folder, self._max_bytes = (
            dict(key_data),
            folder or paths.cache_dir() / "features",
            max_bytes,
        )

    def entry(self, first_trained_layer: str, loader: Loader) -> "CacheEntry":
        """The place of what a loader's images become before the layer ``first_trained_layer``."""
        return CacheEntry(self, self._key_data | {"cut": first_trained_layer}, loader)

    def read(self, key: str) -> CachedFeatures | None:
        """What is kept under a key; None where nothing is, or it is damaged."""
        folder = self._folder / key
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            if all(_digest(folder / name) == digest for name, digest in manifest["files"].items()):
                os.utime(folder / _MANIFEST)
                raw = torch.from_numpy(np.memmap(folder / _FEATURES, dtype=np.uint8, mode="c"))
                features = raw.view(getattr(torch, manifest["dtype"])).view(manifest["shape"])
                rows = load_file(folder / _ROWS)
                return CachedFeatures(features, rows["others"], rows["shares"])
        return None

    def write(self, key: str, cached: CachedFeatures) -> None:
        """Keep features; where the disk does not allow it, they are not kept, and nothing else happens."""
        part = self._folder / f"{key}.{os.getpid()}{_PARTIAL_SUFFIX}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            size = cached.features.numel() * cached.features.element_size()
            if size <= min(self._max_bytes, shutil.disk_usage(self._folder).free // 2):
                _write_entry(part, cached)
                part.rename(self._folder / key)
                self._evict()
        shutil.rmtree(part, ignore_errors=True)

    def _evict(self) -> None:
        """Remove what is longest unused until the rest is within the budget, and what killed processes left."""
        most = self._max_bytes
        entries = sorted(self._folder.iterdir(), key=_last_used, reverse=True)
        for entry in entries:
            half_written = entry.name.endswith(_PARTIAL_SUFFIX)
            most -= 0 if half_written else sum(file.stat().st_size for file in entry.iterdir())
            if (time.time() - _last_used(entry) > _STALE_SECONDS) if half_written else most < 0:
                shutil.rmtree(entry, ignore_errors=True)


class CacheEntry:
    """Where the features of one loader's images are kept."""

    def __init__(self, cache: FeatureCache, key_data: Mapping[str, Any], loader: Loader) -> None:
        self._cache, self._key_data, self._loader = cache, key_data, loader
        self._key = self._current_key()

    def read(self) -> CachedFeatures | None:
        """What is kept here."""
        return self._cache.read(self._key) if self._key else None

    def write(self, cached: CachedFeatures) -> None:
        """Keep features, unless the images have changed while they were computed."""
        if self._key and self._key == self._current_key():
            self._cache.write(self._key, cached)

    def _current_key(self) -> str:
        """Empty where an image cannot be read."""
        loader, dataset = self._loader, self._loader.dataset
        try:
            with ThreadPoolExecutor(thread_name_prefix="hashes") as pool:
                images = list(pool.map(lambda index: _digest(dataset.path(index)), range(len(dataset))))
        except OSError:
            return ""
        facts = {
            **self._key_data,
            "images": images,
            "labels": dataset.labels.tolist(),
            "preprocessing": dataset.preprocessing.as_json(),
            "augmentation": asdict(loader.augmentation) if loader.augmentation else None,
            "mixing": asdict(loader.mixing) if loader.mixing else None,
            "batches": [loader.batch_size, loader.shuffle, loader.seed, loader.num_views, *loader.shard],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_entry(folder: Path, cached: CachedFeatures) -> None:
    """Write the files of an entry, the manifest with their hashes last."""
    folder.mkdir()
    cached.features.contiguous().view(-1).view(torch.uint8).numpy().tofile(folder / _FEATURES)
    save_file({"others": cached.mix_targets, "shares": cached.mix_lambdas}, folder / _ROWS)
    kind = str(cached.features.dtype).removeprefix("torch.")
    files = {name: _digest(folder / name) for name in (_FEATURES, _ROWS)}
    write_json(folder / _MANIFEST, {"dtype": kind, "shape": list(cached.features.shape), "files": files})


def _last_used(entry: Path) -> float:
    """When an entry was last used, in seconds since 1970."""
    return next((path.stat().st_mtime for path in (entry / _MANIFEST, entry) if path.exists()), 0.0)
