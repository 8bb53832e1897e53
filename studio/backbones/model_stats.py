"""Parameters and operations of timm's architectures, as ``packaging/catalogue/measure.py`` counted them."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from studio.core.paths import resource

FILE = "catalogue.json"


class Figures(NamedTuple):
    """Parameters, and floating point operations for one image (a multiplication and an addition are two).

    None where it is unknown.
    """

    parameters: int | None = None
    operations: int | None = None


def key(name: str, size: Sequence[int], classes: int) -> str:
    """What figures depend on: the architecture behind ``name``, (height, width) of the images, and the classes."""
    return f"{name.partition('.')[0]} {'x'.join(map(str, size))} {classes}"


def known(name: str, size: Sequence[int], classes: int) -> Figures:
    """The figures of a backbone; unknown ones where it was not measured."""
    return Figures(*_table().get(key(name, size, classes), ()))


@lru_cache(maxsize=1)
def _table() -> dict[str, list[int | None]]:
    file = resource(FILE)
    return dict(json.loads(file.read_text(encoding="utf-8"))["figures"]) if file.is_file() else {}
