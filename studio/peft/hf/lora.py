"""LoRA, rsLoRA, PiSSA and DoRA as HF peft's LORA.

A fused qkv of which some slices are adapted is one LoRA whose B has a block for each slice and is zero elsewhere.
Several attachments of one layer become one: their ranks add up. DoRA's lengths are given for every row; a row without
DoRA gets the length that it has, which changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.peft.hf.keys import OTHER_FORMATS, PeftState, int_if_whole, target_modules, tensor_key
from studio.peft.methods.dora import DoRAConv2d, DoRALinear
from studio.peft.methods.lora import LowRankLayer


@dataclass(frozen=True, slots=True)
class LowRankUpdate:
    """The update ``scale B A`` of a layer: ``a`` (r, in[, h, w]), ``b`` (out, r[, 1, 1]); DoRA's ``lengths`` (out,)."""

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """r."""
        return len(self.a)

    @property
    def alpha(self) -> int | float:
        """HF peft multiplies by alpha / r."""
        return int_if_whole(self.scale * self.rank)

    def add_to(self, weight: Tensor) -> Tensor:
        """The weight with the update, without DoRA's lengths."""
        return weight + self.scale * (self.b.flatten(1) @ self.a.flatten(1)).view(weight.shape)


def to_peft_state(layers: Mapping[str, Sequence[LowRankLayer]], paths: Sequence[str]) -> PeftState:
    """HF peft's form of low-rank layers by path, innermost first; ``paths`` are all of the backbone's."""
    updates = {path: _update(chain) for path, chain in layers.items()}
    directed = any(update.magnitude is not None for update in updates.values())
    if directed:
        updates = {path: _with_magnitude(update, layers[path][0].unwrapped) for path, update in updates.items()}
    tensors = {name: t for path, update in updates.items() for name, t in _tensors(path, update).items()}
    return PeftState("LORA", _config(updates, paths) | {"use_dora": directed}, tensors)


def _config(updates: Mapping[str, LowRankUpdate], paths: Sequence[str]) -> dict[str, Any]:
    first = next(iter(updates.values()))
    at = target_modules(list(updates), paths)
    ranks = {path: update.rank for path, update in updates.items()}
    alphas = {path: update.alpha for path, update in updates.items()}
    return {
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "lora_alpha": first.alpha,
        "lora_dropout": 0.0,
        "r": first.rank,
        "rank_pattern": _pattern(ranks, first.rank, ambiguous=isinstance(at, str)),
        "alpha_pattern": _pattern(alphas, first.alpha, ambiguous=isinstance(at, str)),
        "target_modules": at,
        "use_rslora": False,
    }


def _pattern(values: Mapping[str, Any], default: Any, *, ambiguous: bool) -> dict[str, Any]:
    """Values other than the default; all, the longest names first, where one name could be taken for another's end."""
    if ambiguous and len(set(values.values())) > 1:
        return {path: values[path] for path in sorted(values, key=len, reverse=True)}
    return {path: value for path, value in values.items() if value != default}


def _tensors(path: str, update: LowRankUpdate) -> dict[str, Tensor]:
    named = {tensor_key(path, "lora_A.weight"): update.a, tensor_key(path, "lora_B.weight"): update.b}
    if update.magnitude is not None:
        shape = (1, -1, 1, 1) if update.a.ndim == 4 else (-1,)
        named[tensor_key(path, "lora_magnitude_vector")] = update.magnitude.view(shape)
    return named


def _update(chain: Sequence[LowRankLayer]) -> LowRankUpdate:
    """All low-rank layers in one place as one update."""
    for layer in chain:
        _check_plain_convolution(layer)
    combined = _combine([LowRankUpdate(*layer.lora_factors(), layer.scale) for layer in chain])
    directed = [layer for layer in chain if isinstance(layer, DoRALinear | DoRAConv2d)]
    if not directed:
        return combined
    _check_dora_outermost(chain)
    lengths = _norm(combined.add_to(cast(Tensor, chain[0].unwrapped.weight)))
    for layer in directed:
        _set_magnitude(lengths, layer)
    return replace(combined, magnitude=lengths)


def _combine(updates: list[LowRankUpdate]) -> LowRankUpdate:
    """Ranks add up, each scale goes into its B, and that of the whole is 1."""
    if len(updates) == 1:
        return updates[0]
    b = torch.cat([update.b * update.scale for update in updates], dim=1)
    return LowRankUpdate(torch.cat([update.a for update in updates]), b, 1.0)


def _with_magnitude(update: LowRankUpdate, plain: nn.Module) -> LowRankUpdate:
    """DoRA is one switch for the whole adapter: a layer without it gets the lengths that it has."""
    if update.magnitude is not None:
        return update
    return replace(update, magnitude=_norm(update.add_to(cast(Tensor, plain.weight))))


def _set_magnitude(magnitude_out: Tensor, layer: DoRALinear | DoRAConv2d) -> None:
    magnitude, ranges = layer.magnitude.detach(), _ranges(layer)
    for (start, stop), part in zip(ranges, magnitude.split([b - a for a, b in ranges]), strict=True):
        magnitude_out[start:stop] = part


def _ranges(layer: LowRankLayer) -> list[tuple[int, int]]:
    return layer.rows or [(0, layer.out_features)]


def _check_dora_outermost(chain: Sequence[LowRankLayer]) -> None:
    """HF peft adds up every update before it sets the lengths, so nothing may come after DoRA on the same rows."""
    for index, layer in enumerate(chain):
        above = [later for later in chain[index + 1 :] if _share_rows(layer, later)]
        if above and isinstance(layer, DoRALinear | DoRAConv2d):
            raise StudioError(f"HF peft cannot hold DoRA with another update on top of the same rows; {OTHER_FORMATS}.")


def _share_rows(one: LowRankLayer, other: LowRankLayer) -> bool:
    return any(a < d and c < b for a, b in _ranges(one) for c, d in _ranges(other))


def _check_plain_convolution(layer: LowRankLayer) -> None:
    plain = layer.unwrapped
    if isinstance(plain, nn.Conv2d) and (plain.groups > 1 or max(plain.dilation) > 1 or plain.padding_mode != "zeros"):
        raise StudioError(
            f"HF peft cannot hold LoRA on a grouped, dilated or oddly padded convolution; {OTHER_FORMATS}."
        )


def _norm(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight.detach().flatten(1), dim=1)
