"""What HF peft added to one layer, as one or several of our attachments there."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.peft.contract import slice_rows
from studio.peft.hf.config import PeftConfig
from studio.peft.hf.keys import matches, pattern_value
from studio.peft.methods.ia3_ssf import OUTER_BIAS_NAMES

Slices = tuple[Any, ...]
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class ConvertedAdapter:
    """One of our methods at one layer: its slices, its fields, and its tensors by name."""

    path: str
    method: str
    slices: Slices
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def convert_lora(layer: Layer, tensors: Mapping[str, Tensor], config: PeftConfig) -> list[ConvertedAdapter]:
    """LoRA, rsLoRA or DoRA at one layer.

    Where B is made of one block for each of some slices of a fused qkv, each is a LoRA of its own, and slices of the
    same rank are one part.
    """
    a, b = _factors(layer, tensors)
    rooted = bool(config.use_rslora)
    alpha = pattern_value(layer.path, config.alpha_pattern or {}, config.lora_alpha)
    scale = alpha / (math.sqrt(len(a)) if rooted else len(a))
    dropout = {"dropout": config.lora_dropout or 0.0}
    lengths = next((t for key, t in tensors.items() if key.startswith(".lora_magnitude_vector")), None)
    if config.use_dora and lengths is None:
        raise StudioError(f"The folder says that it holds DoRA, but {layer.path} has no lengths; it is damaged.")
    if lengths is not None:
        fields = {**dropout, "rank": len(a), "alpha": scale * len(a)}
        return [
            ConvertedAdapter(layer.path, "dora", (), fields, {"lora_A": a, "lora_B": b, "magnitude": lengths.flatten()})
        ]
    return [
        ConvertedAdapter(
            layer.path, "rslora" if rooted else "lora", slices, dropout | _rank_and_alpha(rank, scale, rooted), values
        )
        for slices, rank, values in _slice_blocks(layer, a, b)
    ]


def _rank_and_alpha(rank: int, scale: float, rooted: bool) -> dict[str, Any]:
    """Rank and alpha of a method that multiplies by ``scale``."""
    return {"rank": rank, "alpha": scale * (math.sqrt(rank) if rooted else rank)}


def _factors(layer: Layer, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """A and B; StudioError where one is missing or they do not fit the layer."""
    a, b = tensors.get(".lora_A.weight"), tensors.get(".lora_B.weight")
    if a is None or b is None:
        raise StudioError(f"The folder has only a part of the LoRA at {layer.path}; it is damaged.")
    fits = a.ndim == b.ndim == len(layer.shape) > 1 and len(b) == layer.shape[0] and a.shape[1:] == layer.shape[1:]
    if not fits or not len(a) or b.shape[1] * layer.groups != len(a):
        raise StudioError(f"The LoRA at {layer.path} was made for a layer of another shape than {layer.shape}.")
    return a, b


def _slice_blocks(layer: Layer, a: Tensor, b: Tensor) -> Iterator[tuple[Slices, int, dict[str, Tensor]]]:
    """Slices with their rank and tensors; the whole layer where B is not made of blocks."""
    columns = _columns_of_slices(layer, b) if layer.slices else {}
    if not columns:
        yield (), len(a), {"lora_A": a, "lora_B": b}
        return
    ranks = {len(indices) for indices in columns.values()}
    groups = [tuple(columns)] if len(ranks) == 1 else [(name,) for name in columns]
    for slices in groups:
        own_a = torch.cat([a[columns[name]] for name in slices])
        blocks = zip(slice_rows(layer, slices), slices, strict=True)
        own_b = torch.cat([b[start:stop, columns[name]] for (start, stop), name in blocks])
        yield slices, len(columns[slices[0]]), {"lora_A": own_a, "lora_B": own_b}


def _columns_of_slices(layer: Layer, b: Tensor) -> dict[str, list[int]]:
    """Which columns of B belong to which slice, in q, k, v order; empty where a column has more than one or none."""
    touched = torch.stack([(b[start:stop] != 0).any(0) for start, stop in slice_rows(layer, layer.slices)])
    if bool((touched.sum(0) != 1).any()):
        return {}
    owner = touched.int().argmax(0).tolist()
    found = {name: [i for i, own in enumerate(owner) if own == index] for index, name in enumerate(layer.slices)}
    return {name: columns for name, columns in found.items() if columns}


def convert_ia3(
    layer: Layer,
    tensors: Mapping[str, Tensor],
    config: PeftConfig,
    module: nn.Module,
    others: dict[str, dict[str, Tensor]],
) -> list[ConvertedAdapter]:
    """(IA)^3 at one layer; rows of a fused qkv that are all 1 are taken for slices that are not scaled.

    Takes out of ``others`` the biases that only follow from the scale.
    """
    if ".ia3_l" not in tensors:
        raise StudioError(
            f"The folder has no (IA)^3 at {layer.path}, though it says that it holds that; it is damaged."
        )
    scale = tensors[".ia3_l"].flatten()
    if matches(layer.path, config.feedforward_modules):
        return [ConvertedAdapter(layer.path, "ia3", (), {"scales": "input"}, {"scale": scale})]
    rows = dict(zip(layer.slices, slice_rows(layer, layer.slices), strict=True)) if layer.slices else {}
    scaled = tuple(name for name, (start, stop) in rows.items() if bool((scale[start:stop] != 1).any()))
    slices = scaled if len(scaled) < len(rows) else ()
    own = torch.cat([scale[start:stop] for start, stop in slice_rows(layer, slices)]) if slices else scale
    outer = _pop_outer_biases(layer, scale, module, others)
    return [ConvertedAdapter(layer.path, "ia3", slices, {"scales": "output", "outer_bias": outer}, {"scale": own})]


def _pop_outer_biases(layer: Layer, scale: Tensor, module: nn.Module, others: dict[str, dict[str, Tensor]]) -> bool:
    """Whether the folder brings the attention's biases scaled along; those are then no trained biases."""
    given = others.get(layer.parent, {})
    attention = module.get_submodule(layer.parent)
    width = len(scale) // 3
    found = [name for name in OUTER_BIAS_NAMES.values() if name in given and hasattr(attention, name)]
    if len(scale) != layer.shape[0]:
        return False  # made for a layer of another shape, which loading will say
    for name in found:
        start = next(i for i, part in enumerate("qkv") if OUTER_BIAS_NAMES.get(part) == name) * width
        expected = getattr(attention, name).detach().cpu() * scale[start : start + width]
        if given[name].shape != expected.shape or not torch.allclose(
            given[name], expected, rtol=_TOLERANCE, atol=_TOLERANCE
        ):
            return False
    for name in found:
        del given[name]
    return bool(found)
