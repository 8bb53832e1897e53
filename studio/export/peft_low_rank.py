"""LoRA, rsLoRA, PiSSA and DoRA as HF peft's LORA.

A fused qkv of which some slices are adapted is one LoRA whose B has a block for each slice and is zero elsewhere.
Several attachments of one layer become one: their ranks add up. DoRA's lengths are given for every row; a row without
DoRA gets the length that it has, which changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.export.peft_form import ELSEWHERE, PREFIX, PeftForm, number, tensor_name
from studio.peft.contract import AdaptedLayer
from studio.peft.methods.dora import DoRAConv2d, DoRALinear
from studio.peft.methods.low_rank import LowRankLayer


@dataclass(frozen=True, slots=True)
class LowRank:
    """The update ``scale * B A`` of one layer, and DoRA's length of each row.

    ``a`` is (r, in) or (r, in, h, w), ``b`` (out, r) or (out, r, 1, 1), ``lengths`` (out,).
    """

    a: Tensor
    b: Tensor
    scale: float
    lengths: Tensor | None = None

    @property
    def rank(self) -> int:
        """r."""
        return len(self.a)

    @property
    def alpha(self) -> int | float:
        """HF peft multiplies by alpha / r."""
        return number(self.scale * self.rank)

    def added_to(self, weight: Tensor) -> Tensor:
        """The weight with the update, without DoRA's lengths."""
        return weight + self.scale * (self.b.flatten(1) @ self.a.flatten(1)).view(weight.shape)

    def folded(self, weight: Tensor) -> Tensor:
        """The weight as the adapter makes it."""
        turned = self.added_to(weight)
        if self.lengths is None:
            return turned
        return turned * (self.lengths / _norm(turned)).view(-1, *[1] * (turned.ndim - 1))


def form(layers: Mapping[str, Sequence[AdaptedLayer]]) -> PeftForm:
    """HF peft's tensors and configuration for low-rank layers by path."""
    updates = {path: _update([cast(LowRankLayer, layer) for layer in chain]) for path, chain in layers.items()}
    directed = any(update.lengths is not None for update in updates.values())
    if directed:
        updates = {path: _with_lengths(update, layers[path][0].plain) for path, update in updates.items()}
    first = next(iter(updates.values()))
    config = {
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "lora_alpha": first.alpha,
        "lora_dropout": 0.0,
        "r": first.rank,
        "rank_pattern": {path: u.rank for path, u in updates.items() if u.rank != first.rank},
        "alpha_pattern": {path: u.alpha for path, u in updates.items() if u.alpha != first.alpha},
        "use_rslora": False,
        "use_dora": directed,
    }
    return PeftForm("LORA", config, {k: t for path, u in updates.items() for k, t in _tensors(path, u).items()})


def _tensors(path: str, update: LowRank) -> dict[str, Tensor]:
    named = {tensor_name(path, "lora_A.weight"): update.a, tensor_name(path, "lora_B.weight"): update.b}
    if update.lengths is not None:
        shape = (1, -1, 1, 1) if update.a.ndim == 4 else (-1,)
        named[tensor_name(path, "lora_magnitude_vector")] = update.lengths.view(shape)
    return named


def _update(chain: Sequence[LowRankLayer]) -> LowRank:
    """All low-rank layers in one place as one update."""
    for layer in chain:
        _require_plain_convolution(layer)
    combined = _combine([_own(layer) for layer in chain])
    directed = [layer for layer in chain if isinstance(layer, DoRALinear | DoRAConv2d)]
    if not directed:
        return combined
    if len(chain) > 1 and not _disjoint(chain):
        raise StudioError(f"HF peft cannot hold DoRA and another attachment on the same rows; {ELSEWHERE}.")
    lengths = _norm(combined.added_to(cast(Tensor, chain[0].plain.weight)))
    for layer in directed:
        _put(lengths, layer)
    return replace(combined, lengths=lengths)


def _own(layer: LowRankLayer) -> LowRank:
    a, b = layer.factors()
    return LowRank(a.detach(), b.detach(), layer.scale)


def _combine(updates: list[LowRank]) -> LowRank:
    """Ranks add up, each scale goes into its B, and that of the whole is 1."""
    if len(updates) == 1:
        return updates[0]
    b = torch.cat([update.b * update.scale for update in updates], dim=1)
    return LowRank(torch.cat([update.a for update in updates]), b, 1.0)


def _with_lengths(update: LowRank, plain: nn.Module) -> LowRank:
    """DoRA is one switch for the whole adapter: a layer without it gets the lengths that it has."""
    if update.lengths is not None:
        return update
    return replace(update, lengths=_norm(update.added_to(cast(Tensor, plain.weight))))


def _put(lengths: Tensor, layer: DoRALinear | DoRAConv2d) -> None:
    magnitude = layer.magnitude.detach()
    ranges = layer.rows or [(0, layer.out_features)]
    for (start, stop), part in zip(ranges, magnitude.split([b - a for a, b in ranges]), strict=True):
        lengths[start:stop] = part


def _disjoint(chain: Sequence[LowRankLayer]) -> bool:
    """Whether no row is adapted twice."""
    ranges = sorted(span for layer in chain for span in (layer.rows or [(0, layer.out_features)]))
    return all(stop <= start for (_, stop), (start, _) in pairwise(ranges))


def _require_plain_convolution(layer: LowRankLayer) -> None:
    plain = layer.plain
    if isinstance(plain, nn.Conv2d) and (plain.groups > 1 or max(plain.dilation) > 1 or plain.padding_mode != "zeros"):
        raise StudioError(
            f"HF peft cannot hold LoRA on a grouped, dilated or specially padded convolution; {ELSEWHERE}."
        )


def _norm(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight.detach().flatten(1), dim=1)


def fold(module: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Add an adapter that was read from disk to the weights of a plain backbone."""
    for path in config["target_modules"]:
        rank = config["rank_pattern"].get(path, config["r"])
        scale = config["alpha_pattern"].get(path, config["lora_alpha"]) / rank
        a, b = (tensors[tensor_name(path, f"lora_{half}.weight")] for half in "AB")
        lengths = tensors.get(f"{PREFIX}{path}.lora_magnitude_vector")
        update = LowRank(a, b, scale, None if lengths is None else lengths.flatten())
        weight = cast(nn.Parameter, module.get_submodule(path).weight)
        weight.copy_(update.folded(weight))
