"""HF peft's names of layers and tensors, and the layers that it matches with a name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

CONFIG_NAME = "adapter_config.json"
SAFETENSORS_WEIGHTS_NAME = "adapter_model.safetensors"
KEY_PREFIX = "base_model.model."
TIMM_WRAPPER_PREFIX = "timm_model."
"""The prefix of every layer in transformers' wrapper of timm networks."""


@dataclass(frozen=True, slots=True)
class PeftFolder:
    """The content of ``adapter_config.json``, and the tensors under HF peft's names."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class PeftState:
    """HF peft's type, the keys of its configuration for this type, and the tensors under its names.

    ``target_modules`` is one of the keys.
    """

    peft_type: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def tensor_key(path: str, name: str) -> str:
    """Return HF peft's name for a tensor of a layer of the plain backbone."""
    return f"{KEY_PREFIX}{path}.{name}"


def int_if_whole(value: float) -> int | float:
    """Return whole numbers as int, which older versions of peft expect."""
    return int(value) if float(value).is_integer() else value


def target_modules(paths: Sequence[str], all_paths: Iterable[str]) -> list[str] | str:
    """Return ``target_modules`` with which HF peft matches exactly ``paths`` among ``all_paths``.

    HF peft matches a name in a list with every layer that ends with it, such as ``conv1`` with ``layer1.0.conv1``. If
    that would match another layer, the result is one regular expression, which HF peft matches as a whole.
    """
    wanted = set(paths)
    ends = tuple(paths)
    exact = all(layer in wanted or not layer.endswith(ends) for layer in all_paths)
    return list(paths) if exact else "|".join(re.escape(path) for path in paths)


def pattern_value(path: str, patterns: dict[str, float], default: float) -> float:
    """Return the value for ``path`` in a ``rank_pattern`` or ``alpha_pattern``: the first whose key matches its end."""
    found = (
        value
        for key, value in patterns.items()
        for p in (path, TIMM_WRAPPER_PREFIX + path)
        if re.match(rf"(.*\.)?({key})$", p)
    )
    return next(found, default)


def matches(path: str, targets: str | list[str] | None) -> bool:
    """Return whether HF peft matches ``path`` with ``targets``: a regular expression, or a list of ends of names."""
    if isinstance(targets, str):
        return bool(re.fullmatch(targets, path))
    return any(path.endswith(name) for name in targets or ())
