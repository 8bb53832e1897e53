"""What HF peft's folder is made of, whatever the type."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

PREFIX = "base_model.model."
ELSEWHERE = "export as merged, adapter, onnx or torch"


@dataclass(frozen=True, slots=True)
class PeftForm:
    """HF peft's type, the keys of its configuration that belong to the type, and the tensors under its names."""

    peft_type: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def tensor_name(path: str, name: str) -> str:
    """HF peft's name for a tensor at a layer of the plain backbone."""
    return f"{PREFIX}{path}.{name}"


def number(value: float) -> int | float:
    """An integer where the value is one, as older versions of peft expect."""
    return int(value) if float(value).is_integer() else value
