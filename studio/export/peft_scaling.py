"""(IA)^3 as HF peft's IA3: a vector for each layer, on its output, or on its input where it is called feedforward."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.export.peft_form import ELSEWHERE, PeftForm, tensor_name
from studio.peft.contract import AdaptedLayer
from studio.peft.methods.scaling import ScaledInput, ScaledOutput


def form(layers: Mapping[str, Sequence[AdaptedLayer]]) -> PeftForm:
    """HF peft's tensors and configuration for scaled layers by path."""
    inputs = [path for path, chain in layers.items() if isinstance(chain[0], ScaledInput)]
    scales = {tensor_name(path, "ia3_l"): _scale(chain) for path, chain in layers.items()}
    return PeftForm("IA3", {"feedforward_modules": inputs, "fan_in_fan_out": False, "init_ia3_weights": True}, scales)


def _scale(chain: Sequence[AdaptedLayer]) -> Tensor:
    """All scales in one place as one, in HF peft's shape: (out, 1), (1, in) or (1, channels, 1, 1)."""
    if len({type(layer) for layer in chain}) > 1:
        raise StudioError(f"HF peft cannot scale the input and the output of one layer; {ELSEWHERE}.")
    product = torch.stack([_vector(layer) for layer in chain]).prod(0)
    if isinstance(chain[0].plain, nn.Conv2d):
        return product.view(1, -1, 1, 1)
    return product.view(1, -1) if isinstance(chain[0], ScaledInput) else product.view(-1, 1)


def _vector(layer: AdaptedLayer) -> Tensor:
    if isinstance(layer, ScaledInput):
        return layer.scale.detach()
    output = cast(ScaledOutput, layer)
    if output.outer:
        raise StudioError(
            "HF peft cannot scale a bias that the attention adds outside of its qkv; "
            f"train with outer_bias = false, or {ELSEWHERE}."
        )
    return output.over_all_rows(output.scale.detach(), 1.0)


def fold(module: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Multiply an adapter that was read from disk into the weights of a plain backbone."""
    for path in config["target_modules"]:
        layer = module.get_submodule(path)
        weight = cast(nn.Parameter, layer.weight)
        scale = tensors[tensor_name(path, "ia3_l")].flatten()
        rest = [1] * (weight.ndim - 2)
        if path in config["feedforward_modules"]:
            weight.mul_(scale.view(1, -1, *rest))
            continue
        weight.mul_(scale.view(-1, 1, *rest))
        if layer.bias is not None:
            cast(nn.Parameter, layer.bias).mul_(scale)
