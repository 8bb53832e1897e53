"""Parameters and operations of timm's architectures, counted by ``packaging/catalog/measure.py``."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from studio.core.paths import resource

STATS_FILE = "catalog.json"


class ModelStats(NamedTuple):
    """Parameters, and floating point operations for one image (a multiplication and an addition are two).

    None if unknown.
    """

    parameters: int | None = None
    flops: int | None = None


def stats_key(name: str, size: Sequence[int], num_classes: int) -> str:
    """Return the key of a measurement: architecture, (height, width) of the images, and number of classes."""
    return f"{name.partition('.')[0]} {'x'.join(map(str, size))} {num_classes}"


def lookup_stats(name: str, size: Sequence[int], num_classes: int) -> ModelStats:
    """Return the measured values of a backbone; None for each if it was not measured."""
    return ModelStats(*_table().get(stats_key(name, size, num_classes), ()))


@lru_cache(maxsize=1)
def _table() -> dict[str, list[int | None]]:
    file = resource(STATS_FILE)
    return dict(json.loads(file.read_text(encoding="utf-8"))["figures"]) if file.is_file() else {}
