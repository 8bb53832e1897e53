"""How HF peft calls layers and tensors, and which layers it takes a name for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

CONFIG_NAME = "adapter_config.json"
SAFETENSORS_WEIGHTS_NAME = "adapter_model.safetensors"
KEY_PREFIX = "base_model.model."
TIMM_WRAPPER_PREFIX = "timm_model."
"""What transformers' wrapper of timm networks puts before every layer."""
OTHER_FORMATS = "export as merged, adapter, onnx or torch"


@dataclass(frozen=True, slots=True)
class PeftFolder:
    """A folder of HF peft: the configuration for ``adapter_config.json``, and the tensors under HF peft's names."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class PeftState:
    """HF peft's type, the keys of its configuration that belong to the type, and the tensors under its names.

    ``target_modules`` is among the keys.
    """

    peft_type: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def tensor_key(path: str, name: str) -> str:
    """HF peft's name for a tensor at a layer of the plain backbone."""
    return f"{KEY_PREFIX}{path}.{name}"


def int_if_whole(value: float) -> int | float:
    """An integer where the value is one, as older versions of peft expect."""
    return int(value) if float(value).is_integer() else value


def target_modules(paths: Sequence[str], all_paths: Iterable[str]) -> list[str] | str:
    """``paths`` so that HF peft matches exactly these of ``layers``.

    It takes a name in a list for every layer that ends with it too, as ``conv1`` for ``layer1.0.conv1``. Where that
    would hit another layer, they are one regular expression, which it matches whole.
    """
    wanted = set(paths)
    ends = tuple(paths)
    exact = all(layer in wanted or not layer.endswith(ends) for layer in all_paths)
    return list(paths) if exact else "|".join(re.escape(path) for path in paths)


def pattern_value(path: str, patterns: dict[str, float], default: float) -> float:
    """The value for ``path`` in a ``rank_pattern`` or ``alpha_pattern``: the first whose regular expression ends it."""
    found = (
        value
        for key, value in patterns.items()
        for p in (path, TIMM_WRAPPER_PREFIX + path)
        if re.match(rf"(.*\.)?({key})$", p)
    )
    return next(found, default)


def matches(path: str, targets: str | list[str] | None) -> bool:
    """Whether HF peft takes ``path`` for one of ``given``: a regular expression, or a list of ends of names."""
    if isinstance(targets, str):
        return bool(re.fullmatch(targets, path))
    return any(path.endswith(name) for name in targets or ())
