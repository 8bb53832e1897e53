"""(IA)^3 as HF peft's IA3: a vector for each layer, on its output, or on its input where it is called feedforward.

HF peft scales the output of a layer alone. A bias that the attention adds afterwards, as BEiT's, is therefore written
scaled under its own name, and HF peft loads it into the backbone.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.peft.contract import AdaptedLayer
from studio.peft.hf.keys import OTHER_FORMATS, PeftState, target_modules, tensor_key
from studio.peft.methods.ia3_ssf import ScaledInput, ScaledOutput


def to_peft_state(layers: Mapping[str, Sequence[AdaptedLayer]], paths: Sequence[str]) -> PeftState:
    """HF peft's form of scaled layers by path; ``paths`` are all of the backbone's."""
    inputs = [path for path, chain in layers.items() if isinstance(chain[0], ScaledInput)]
    scales = {tensor_key(path, "ia3_l"): _scale(chain) for path, chain in layers.items()}
    biases = {name: bias for path, chain in layers.items() for name, bias in _outer_biases(path, chain)}
    config = {
        "fan_in_fan_out": False,
        "feedforward_modules": target_modules(inputs, paths),
        "init_ia3_weights": True,
        "target_modules": target_modules(list(layers), paths),
    }
    return PeftState("IA3", config, scales | biases)


def _scale(chain: Sequence[AdaptedLayer]) -> Tensor:
    """All scales in one place as one, in HF peft's shape: (out, 1), (1, in) or (1, channels, 1, 1)."""
    if len({type(layer) for layer in chain}) > 1:
        raise StudioError(f"HF peft cannot scale the input and the output of one layer; {OTHER_FORMATS}.")
    product = torch.stack([_vector(layer) for layer in chain]).prod(0)
    if isinstance(chain[0].unwrapped, nn.Conv2d):
        return product.view(1, -1, 1, 1)
    return product.view(1, -1) if isinstance(chain[0], ScaledInput) else product.view(-1, 1)


def _vector(layer: AdaptedLayer) -> Tensor:
    if isinstance(layer, ScaledInput):
        return layer.scale.detach()
    assert isinstance(layer, ScaledOutput)
    return layer.expand_rows(layer.scale.detach(), 1.0)


def _outer_biases(path: str, chain: Sequence[AdaptedLayer]) -> Iterator[tuple[str, Tensor]]:
    """Names of biases that the attention adds outside of the layer, as all scales in one place leave them."""
    biases: dict[str, Tensor] = {}
    for layer in chain:
        for start, name in layer.outer.items() if isinstance(layer, ScaledOutput) else ():
            bias = biases.get(name, getattr(layer.bias_owner[0], name))
            biases[name] = bias.detach() * _vector(layer)[start : start + len(bias)]
    parent = path.rpartition(".")[0]
    return ((tensor_key(parent, name), bias) for name, bias in biases.items())
