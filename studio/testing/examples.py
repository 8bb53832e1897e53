"""Example fields for methods that cannot be tried with their defaults."""

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from studio.backbones.loading import weights_digest
from studio.peft import METHODS, attach
from studio.peft.adapter_file import save_adapter
from studio.peft.targets import default_attachment
from studio.testing.families import backbone_layers, build_backbone
from studio.testing.observing import train_briefly


def example_fields(method: str, family: str) -> Mapping[str, Any]:
    """Return the fields with which to try ``method`` on a family; StudioError with the reason if there are none."""
    return EXAMPLES[method](family) if method in EXAMPLES else {}


@cache
def _two_adapters(family: str) -> Mapping[str, Any]:
    return {"adapters": [str(_trained(family, number)) for number in range(2)]}


def _trained(family: str, number: int) -> Path:
    attachment = default_attachment(METHODS.get("pfeiffer"), backbone_layers(family), config={"bottleneck": 4 + number})
    module = build_backbone(family)
    origin = weights_digest(module)
    attached = train_briefly(attach(module, [attachment]), family)
    folder = Path(_folder().name, f"{family}-{number}")
    folder.mkdir()
    save_adapter(attached, [attachment], folder, origin, {})
    return folder


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder that lives as long as the process."""
    return tempfile.TemporaryDirectory(prefix="peft-studio-examples-")


EXAMPLES: dict[str, Callable[[str], Mapping[str, Any]]] = {"fusion": _two_adapters}
"""Functions by method; the tests of a plugin may add theirs."""
