"""LoRA, rsLoRA, PiSSA and DoRA as HF peft's LORA.

A fused qkv with adapters on some slices is one LoRA whose B has a block for each slice and is zero elsewhere. Several
attachments of one layer become one: their ranks add up. DoRA's magnitudes are written for every row; a row without
DoRA gets the norm that it has, which changes nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.peft.contract import slice_rows
from studio.peft.hf.form import Chains, ConvertedAdapter, PeftForm, PeftLayer
from studio.peft.hf.keys import PeftState, int_if_whole, pattern_value, target_modules, tensor_key


class LowRank(Protocol):
    """An adapted layer with a low-rank update of its weight."""

    scale: float
    rows: list[tuple[int, int]]
    out_features: int

    @property
    def unwrapped(self) -> nn.Module:
        """The backbone's own layer."""

    def lora_factors(self) -> tuple[Tensor, Tensor]:
        """Return A and B over all rows of the weight."""

    def peft_magnitude(self) -> Tensor | None:
        """Return DoRA's magnitudes of the adapted rows; None without DoRA."""


@dataclass(frozen=True, slots=True)
class LowRankUpdate:
    """The update ``scale B A`` of a layer.

    ``a`` is (r, in[, h, w]), ``b`` (out, r[, 1, 1]) and DoRA's ``magnitude`` (out,).
    """

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """The rank r."""
        return len(self.a)

    @property
    def alpha(self) -> int | float:
        """HF peft's alpha, which it divides by r."""
        return int_if_whole(self.scale * self.rank)

    def add_to(self, weight: Tensor) -> Tensor:
        """Return the weight with the update, without DoRA's magnitudes."""
        return weight + self.scale * (self.b.flatten(1) @ self.a.flatten(1)).view(weight.shape)


class LoRAForm(PeftForm):
    """LORA, for every method with a low-rank update."""

    def __init__(self) -> None:
        names = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "lora_magnitude_vector.weight")
        super().__init__("LORA", {name: name.partition(".")[0] for name in names})

    def to_state(self, chains: Chains, paths: Sequence[str]) -> PeftState:
        """Return what HF peft stores for low-rank layers; ``paths`` are all layers of the backbone."""
        updates = {path: _update(chain) for path, chain in chains.items()}
        use_dora = any(update.magnitude is not None for update in updates.values())
        if use_dora:
            updates = {path: _with_magnitude(update, chains[path][0].unwrapped) for path, update in updates.items()}
        tensors = {name: t for path, update in updates.items() for name, t in _tensors(path, update).items()}
        return PeftState(self.peft_type, _config(updates, paths) | {"use_dora": use_dora}, tensors)

    def from_layer(self, given: PeftLayer) -> list[ConvertedAdapter]:
        """Return LoRA, rsLoRA or DoRA of one layer.

        If B has one block for each of some slices of a fused qkv, each is a separate LoRA, and slices of the same rank
        are one adapter.
        """
        layer, config = given.layer, given.config
        a, b = _factors(layer, given.tensors)
        rslora = bool(config.use_rslora)
        alpha = pattern_value(layer.path, config.alpha_pattern or {}, config.lora_alpha)
        scale = alpha / (math.sqrt(len(a)) if rslora else len(a))
        dropout = {"dropout": config.lora_dropout or 0.0}
        magnitude = next((t for name, t in given.tensors.items() if name.startswith("lora_magnitude_vector")), None)
        if config.use_dora and magnitude is None:
            raise _damaged(layer.path)
        if magnitude is not None:
            fields = {**dropout, "rank": len(a), "alpha": scale * len(a)}
            tensors = {"lora_A": a, "lora_B": b, "magnitude": magnitude.flatten()}
            return [ConvertedAdapter(layer.path, "dora", (), fields, tensors)]
        method = "rslora" if rslora else "lora"
        return [
            ConvertedAdapter(layer.path, method, slices, dropout | _rank_and_alpha(rank, scale, rslora), values)
            for slices, rank, values in _slice_blocks(layer, a, b)
        ]


def _config(updates: Mapping[str, LowRankUpdate], paths: Sequence[str]) -> dict[str, Any]:
    first = next(iter(updates.values()))
    targets = target_modules(list(updates), paths)
    ranks = {path: update.rank for path, update in updates.items()}
    alphas = {path: update.alpha for path, update in updates.items()}
    return {
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "lora_alpha": first.alpha,
        "lora_dropout": 0.0,
        "r": first.rank,
        "rank_pattern": _pattern(ranks, first.rank, ambiguous=isinstance(targets, str)),
        "alpha_pattern": _pattern(alphas, first.alpha, ambiguous=isinstance(targets, str)),
        "target_modules": targets,
        "use_rslora": False,
    }


def _pattern(values: Mapping[str, Any], default: Any, *, ambiguous: bool) -> dict[str, Any]:
    """Return the values that differ from the default; all, longest names first, if one name may end another."""
    if ambiguous and len(set(values.values())) > 1:
        return {path: values[path] for path in sorted(values, key=len, reverse=True)}
    return {path: value for path, value in values.items() if value != default}


def _tensors(path: str, update: LowRankUpdate) -> dict[str, Tensor]:
    named = {tensor_key(path, "lora_A.weight"): update.a, tensor_key(path, "lora_B.weight"): update.b}
    if update.magnitude is not None:
        shape = (1, -1, 1, 1) if update.a.ndim == 4 else (-1,)
        named[tensor_key(path, "lora_magnitude_vector")] = update.magnitude.view(shape)
    return named


def _update(chain: Sequence[LowRank]) -> LowRankUpdate:
    """Combine all low-rank adapters of one layer into one update."""
    for layer in chain:
        _check_plain_convolution(layer)
    combined = _combine([LowRankUpdate(*layer.lora_factors(), layer.scale) for layer in chain])
    if all(layer.peft_magnitude() is None for layer in chain):
        return combined
    _check_dora_outermost(chain)
    norms = _norm(combined.add_to(cast(Tensor, chain[0].unwrapped.weight)))
    for layer in chain:
        _set_magnitude(norms, layer)
    return replace(combined, magnitude=norms)


def _combine(updates: list[LowRankUpdate]) -> LowRankUpdate:
    """Concatenate updates: ranks add up, each scale goes into its B, and the total scale is 1."""
    if len(updates) == 1:
        return updates[0]
    b = torch.cat([update.b * update.scale for update in updates], dim=1)
    return LowRankUpdate(torch.cat([update.a for update in updates]), b, 1.0)


def _with_magnitude(update: LowRankUpdate, plain: nn.Module) -> LowRankUpdate:
    """Return the update with the norms that it has: DoRA is one switch for the whole adapter."""
    if update.magnitude is not None:
        return update
    return replace(update, magnitude=_norm(update.add_to(cast(Tensor, plain.weight))))


def _set_magnitude(magnitude_out: Tensor, layer: LowRank) -> None:
    magnitude, ranges = layer.peft_magnitude(), _ranges(layer)
    if magnitude is None:
        return
    parts = magnitude.detach().split([b - a for a, b in ranges])
    for (start, stop), part in zip(ranges, parts, strict=True):
        magnitude_out[start:stop] = part


def _ranges(layer: LowRank) -> list[tuple[int, int]]:
    return layer.rows or [(0, layer.out_features)]


def _check_dora_outermost(chain: Sequence[LowRank]) -> None:
    """Raise StudioError if an update follows DoRA on the same rows: HF peft adds all updates before it scales."""
    for index, layer in enumerate(chain):
        above = [later for later in chain[index + 1 :] if _share_rows(layer, later)]
        if above and layer.peft_magnitude() is not None:
            raise StudioError(
                "no-peft-form",
                "HF peft cannot store DoRA with another update on top of the same rows. Choose another format.",
            )


def _share_rows(one: LowRank, other: LowRank) -> bool:
    return any(a < d and c < b for a, b in _ranges(one) for c, d in _ranges(other))


def _check_plain_convolution(layer: LowRank) -> None:
    plain = layer.unwrapped
    if isinstance(plain, nn.Conv2d) and (plain.groups > 1 or max(plain.dilation) > 1 or plain.padding_mode != "zeros"):
        raise StudioError(
            "no-peft-form",
            "HF peft cannot store LoRA on a convolution with groups, dilation or padding other than zeros. "
            "Choose another format.",
        )


def _norm(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight.detach().flatten(1), dim=1)


def _rank_and_alpha(rank: int, scale: float, rslora: bool) -> dict[str, Any]:
    """Return rank and alpha of a method whose factor is ``scale``."""
    return {"rank": rank, "alpha": scale * (math.sqrt(rank) if rslora else rank)}


def _damaged(path: str) -> StudioError:
    return StudioError(
        "damaged-file",
        "The folder is damaged: tensors of {layer} are missing. Export it from HF peft again.",
        layer=path,
    )


def _factors(layer: Layer, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return A and B; StudioError if one is missing or they do not fit the layer."""
    a, b = tensors.get("lora_A.weight"), tensors.get("lora_B.weight")
    if a is None or b is None:
        raise _damaged(layer.path)
    fits = a.ndim == b.ndim == len(layer.shape) > 1 and len(b) == layer.shape[0] and a.shape[1:] == layer.shape[1:]
    if not fits or not len(a) or b.shape[1] * layer.groups != len(a):
        raise StudioError(
            "adapter-mismatch",
            "The LoRA of {layer} does not fit its shape {shape}. Choose the backbone that it was trained on.",
            layer=layer.path,
            shape=layer.shape,
        )
    return a, b


def _slice_blocks(layer: Layer, a: Tensor, b: Tensor) -> Iterator[tuple[tuple[Any, ...], int, dict[str, Tensor]]]:
    """Yield slices with their rank and tensors; the whole layer if B does not consist of blocks."""
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
    """Return the columns of B of each slice, in q, k, v order; empty unless each column belongs to exactly one."""
    touched = torch.stack([(b[start:stop] != 0).any(0) for start, stop in slice_rows(layer, layer.slices)])
    if bool((touched.sum(0) != 1).any()):
        return {}
    owner = touched.int().argmax(0).tolist()
    found = {name: [i for i, own in enumerate(owner) if own == index] for index, name in enumerate(layer.slices)}
    return {name: columns for name, columns in found.items() if columns}
