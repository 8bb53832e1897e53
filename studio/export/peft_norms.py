"""LayerNorm tuning as HF peft's LN_TUNING: the trained norms as they are."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from studio.export.peft_form import PeftForm, tensor_name

_LAYERS = "ln_tuning_layers"


def form(trained: Mapping[str, Mapping[str, Tensor]]) -> PeftForm:
    """HF peft's tensors for the parameters of trained layers, by path and name."""
    named = {
        tensor_name(path, f"{_LAYERS}.{name}"): tensor.detach()
        for path, tensors in trained.items()
        for name, tensor in tensors.items()
    }
    return PeftForm("LN_TUNING", {}, named)


def fold(module: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put an adapter that was read from disk into a plain backbone."""
    for path in config["target_modules"]:
        for name, parameter in module.get_submodule(path).named_parameters():
            parameter.copy_(tensors[tensor_name(path, f"{_LAYERS}.{name}")])
