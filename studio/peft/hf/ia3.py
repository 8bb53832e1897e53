"""(IA)^3 as HF peft's IA3: a vector for each layer, on its output, or on its input if it is called feedforward.

HF peft scales the output of the layer alone. A bias that the attention adds afterwards, such as BEiT's, is therefore
written in scaled form under its own name, and HF peft loads it into the backbone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from studio.backbones.layer_roles import OUTER_BIAS_NAMES
from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.peft.contract import slice_rows
from studio.peft.hf.form import Chains, ConvertedAdapter, PeftForm, PeftLayer, TensorsByLayer
from studio.peft.hf.keys import PeftState, matches, target_modules, tensor_key

_TOLERANCE = 1e-6


class ScaledLayer(Protocol):
    """An adapted layer with a scale on its input or its output."""

    scales_input: bool

    @property
    def unwrapped(self) -> nn.Module:
        """The backbone's own layer."""

    def full_scale(self) -> Tensor:
        """Return the scale of all channels."""

    def outer_biases(self) -> Mapping[int, tuple[str, Tensor]]:
        """Return the biases that the attention adds afterwards, by their first row: name and value."""


class IA3Form(PeftForm):
    """IA3; several scales of one layer are multiplied."""

    def __init__(self) -> None:
        super().__init__("IA3", {"ia3_l": "scale"})

    def to_state(self, chains: Chains, paths: Sequence[str]) -> PeftState:
        """Return what HF peft stores for scaled layers; ``paths`` are all layers of the backbone."""
        inputs = [path for path, chain in chains.items() if chain[0].scales_input]
        scales = {tensor_key(path, "ia3_l"): _scale(chain) for path, chain in chains.items()}
        biases = {name: bias for path, chain in chains.items() for name, bias in _outer_biases(path, chain)}
        config = {
            "fan_in_fan_out": False,
            "feedforward_modules": target_modules(inputs, paths),
            "init_ia3_weights": True,
            "target_modules": target_modules(list(chains), paths),
        }
        return PeftState(self.peft_type, config, scales | biases)

    def from_layer(self, given: PeftLayer) -> list[ConvertedAdapter]:
        """Return (IA)^3 of one layer; if some slices of a fused qkv have a scale of 1, only the others are scaled.

        Removes biases from ``given.trained`` that follow from the scale.
        """
        layer = given.layer
        scale = given.tensors["ia3_l"].flatten()
        if matches(layer.path, given.config.feedforward_modules):
            return [ConvertedAdapter(layer.path, "ia3", (), {"scales": "input"}, {"scale": scale})]
        rows = dict(zip(layer.slices, slice_rows(layer, layer.slices), strict=True)) if layer.slices else {}
        scaled = tuple(name for name, (start, stop) in rows.items() if bool((scale[start:stop] != 1).any()))
        slices = scaled if len(scaled) < len(rows) else ()
        own = torch.cat([scale[start:stop] for start, stop in slice_rows(layer, slices)]) if slices else scale
        outer = _pop_outer_biases(layer, scale, given.module, given.trained)
        config = {"scales": "output", "outer_bias": outer}
        return [ConvertedAdapter(layer.path, "ia3", slices, config, {"scale": own})]


def _scale(chain: Sequence[ScaledLayer]) -> Tensor:
    """Multiply all scales of one layer, in HF peft's shape: (out, 1), (1, in) or (1, channels, 1, 1)."""
    if len({layer.scales_input for layer in chain}) > 1:
        raise StudioError(
            "no-peft-form",
            "HF peft cannot scale both the input and the output of one layer. Choose another format.",
        )
    product = torch.stack([layer.full_scale() for layer in chain]).prod(0)
    if isinstance(chain[0].unwrapped, nn.Conv2d):
        return product.view(1, -1, 1, 1)
    return product.view(1, -1) if chain[0].scales_input else product.view(-1, 1)


def _outer_biases(path: str, chain: Sequence[ScaledLayer]) -> Iterator[tuple[str, Tensor]]:
    """Yield the biases that the attention adds outside of the layer, with all scales applied, by tensor name."""
    biases: dict[str, Tensor] = {}
    for layer in chain:
        for start, (name, value) in layer.outer_biases().items():
            bias = biases.get(name, value)
            biases[name] = bias.detach() * layer.full_scale()[start : start + len(bias)]
    parent = path.rpartition(".")[0]
    return ((tensor_key(parent, name), bias) for name, bias in biases.items())


def _pop_outer_biases(layer: Layer, scale: Tensor, module: nn.Module, trained: TensorsByLayer) -> bool:
    """Remove the attention's biases from ``trained`` if they equal the scaled ones; return whether they do."""
    own = trained.get(layer.parent, {})
    attention = module.get_submodule(layer.parent)
    width = len(scale) // 3
    names = [name for name in OUTER_BIAS_NAMES.values() if name in own and hasattr(attention, name)]
    if len(scale) != layer.shape[0]:
        return False  # made for a layer of another shape, which loading reports
    for name in names:
        start = next(i for i, part in enumerate("qkv") if OUTER_BIAS_NAMES.get(part) == name) * width
        expected = getattr(attention, name).detach().cpu() * scale[start : start + width]
        if own[name].shape != expected.shape or not torch.allclose(
            own[name], expected, rtol=_TOLERANCE, atol=_TOLERANCE
        ):
            return False
    for name in names:
        del own[name]
    return bool(names)
