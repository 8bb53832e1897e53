"""timm's attentions with their inside open.

timm gives no access to the queries, keys and values inside an attention. :func:`attend` carries the same computation
out, in the order of timm's own forward and with the attention's own layers, which may be adapted themselves, and lets
:class:`OpenAttention` adapters take part in it. With nothing to add it gives timm's result bit for bit.
"""

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from timm.layers import apply_rot_embed_cat
from timm.models.beit import Attention as BeitAttention
from timm.models.swin_transformer import WindowAttention
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import Tensor, nn
from torch.nn import functional

from studio.peft.contract import AdaptedLayer

MAX_LOGIT_SCALE = math.log(1 / 0.01)
"""The bound that Swin V2 puts on its temperature."""


class InjectableAttention(AdaptedLayer):
    """An attention to which something is added inside.

    Several on one attention stand next to each other, under all other adapters (:meth:`Site.replace` with
    ``innermost``); the outermost carries the attention out for all of them.
    """

    def expand_bias(self, bias: Tensor) -> Tensor:
        """A bias of the scores, (..., queries, keys), with room for tokens that the backbone does not know of."""
        return bias

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Keys and values, each (batch, heads, m, head width), that every query sees besides those of ``x``."""
        return None

    def extra_output(self, query: Tensor) -> Tensor | None:
        """What is added to the heads' output, (batch, heads, N, head width), for ``query`` of the same shape."""
        return None

    def forward_adapted(self, x: Tensor, **call: Any) -> Tensor:
        """The attention of ``x``, (batch, N, D), with what all open adapters on it add, each by its strength.

        Further keys count as often as the strength says, so that at 0 no query sees them.
        """
        return attention_forward(self.unwrapped, x, tuple(self._active_adapters()), **call)

    forward_scaled = forward_adapted

    def _active_adapters(self) -> "Iterator[InjectableAttention]":
        layer: nn.Module = self
        while isinstance(layer, InjectableAttention):
            if layer.enabled:
                yield layer
            layer = layer.base_layer


def attention_forward(
    attention: Any, x: Tensor, adapters: Sequence[InjectableAttention], *, rope: Tensor | None = None, **call: Any
) -> Tensor:
    """timm's forward of ``attention`` on ``x``, (batch, N, D), with what ``parts`` add.

    ``call`` holds the masks and biases that the attention is called with.
    """
    gate = attention.gate(x).sigmoid() if getattr(attention, "gate", None) is not None else None
    query, key, value = project_qkv(attention, x)
    if rope is not None:
        query, key = (_apply_rope(attention, heads, rope).type_as(value) for heads in (query, key))
    biases = _attention_biases(attention, x, **call)
    for part in adapters:
        biases = [part.expand_bias(bias) for bias in biases]
    for part in adapters:
        more = part.extra_kv(x)
        if more is not None:
            key, value = _prepend(more[0], key), _prepend(more[1], value)
            biases = [_pad_keys(bias, more[0].shape[2]) for bias in biases]
            biases += _strength_bias(more[0].shape[2], key, part.strength)
    heads = scaled_dot_product(attention, query, key, value, biases)
    for part in adapters:
        added = part.extra_output(query)
        heads = heads if added is None else heads + part.strength * added.to(heads.dtype)
    return _project_output(attention, heads, gate)


def project_qkv(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the tokens ``x``, (batch, N, D), each (batch, heads, N, head width), without RoPE."""
    if getattr(attention, "qkv", None) is not None:
        fused = _fused_qkv(attention, x)
        query, key, value = fused.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    else:
        query = attention.q_proj(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        key = attention.k_proj(x).unflatten(-1, (num_kv_heads(attention), -1)).transpose(1, 2)
        value = attention.v_proj(x).unflatten(-1, (num_kv_heads(attention), -1)).transpose(1, 2)
    if getattr(attention, "q_norm", None) is not None:
        query, key = attention.q_norm(query), attention.k_norm(key)
    return query, key, value


def scaled_dot_product(
    attention: Any, query: Tensor, key: Tensor, value: Tensor, biases: Sequence[Tensor] = ()
) -> Tensor:
    """softmax(query key + biases) value as ``attention`` does it, (batch, heads, N, head width)."""
    groups = getattr(attention, "num_kv_groups", 1)
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    if isinstance(attention, WindowAttentionV2):
        scores = _cosine_scores(attention, query, key)
    elif attention.fused_attn:
        mask = _combined_mask(biases, query)
        dropout = attention.attn_drop.p if attention.training else 0.0
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    else:
        scores = (query * attention.scale) @ key.transpose(-2, -1)
    for bias in biases:
        scores = scores + _as_additive_bias(bias, scores)
    return attention.attn_drop(scores.softmax(dim=-1)) @ value


def num_kv_heads(attention: Any) -> int:
    """Heads of keys and values: fewer than those of the queries where several share one."""
    return getattr(attention, "num_kv_heads", attention.num_heads)


def kv_width(attention: Any) -> int:
    """Width of all heads of the keys together, and of the values."""
    fused = getattr(attention, "qkv", None)
    return fused.out_features // 3 if fused is not None else attention.k_proj.out_features


def token_width(attention: Any) -> int:
    """Width of the tokens that come in."""
    fused = getattr(attention, "qkv", None)
    return fused.in_features if fused is not None else attention.k_proj.in_features


def _fused_qkv(attention: Any, x: Tensor) -> Tensor:
    """The output of qkv; BEiT, EVA and Swin V2 keep its bias in pieces, k's being zero."""
    if getattr(attention, "q_bias", None) is None:
        return attention.qkv(x)
    bias = torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
    if not attention.qkv_bias_separate:
        return functional.linear(x, attention.qkv.weight, bias)
    qkv = attention.qkv(x)
    qkv += bias  # in place as timm does it: under autocast the sum stays in the lower precision
    return qkv


def _apply_rope(attention: Any, heads: Tensor, rope: Tensor) -> Tensor:
    first = attention.num_prefix_tokens
    half = getattr(attention, "rotate_half", False)
    return torch.cat([heads[:, :, :first], apply_rot_embed_cat(heads[:, :, first:], rope, half=half)], dim=2)


def _attention_biases(
    attention: Any,
    x: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    shared_rel_pos_bias: Tensor | None = None,
    mask: Tensor | None = None,
) -> list[Tensor]:
    """What is added to the scores, each (..., queries, keys): relative positions and masks."""
    found: list[Tensor | None] = [shared_rel_pos_bias]
    if isinstance(attention, BeitAttention | WindowAttention):
        known = attention.relative_position_bias_table is not None
        found = [attention._get_rel_pos_bias() if known else None, shared_rel_pos_bias]
    elif isinstance(attention, WindowAttentionV2):
        found = [_continuous_position_bias(attention)]
    if mask is not None:
        found.append(mask.repeat(x.shape[0] // mask.shape[0], 1, 1).unsqueeze(1))
    found.append(x.new_full((x.shape[1], x.shape[1]), float("-inf")).triu_(1) if is_causal else attn_mask)
    return [bias for bias in found if bias is not None]


def _continuous_position_bias(attention: Any) -> Tensor:
    """Swin V2's relative position bias, (1, heads, area, area), made by a small network."""
    table = attention.cpb_mlp(attention.relative_coords_table).view(-1, attention.num_heads)
    area = attention.window_size[0] * attention.window_size[1]
    bias = table[attention.relative_position_index.view(-1)].view(area, area, -1).permute(2, 0, 1).contiguous()
    return (16 * torch.sigmoid(bias)).unsqueeze(0)


def _prepend(new: Tensor, old: Tensor) -> Tensor:
    return torch.cat([new.to(old.dtype), old], dim=2)


def _pad_keys(bias: Tensor, count: int) -> Tensor:
    """Zero, or True in a mask of booleans, for ``count`` keys before the others: every query sees them."""
    return functional.pad(bias, (count, 0), value=1.0 if bias.dtype == torch.bool else 0.0)


def _strength_bias(count: int, key: Tensor, strength: float) -> list[Tensor]:
    """What makes the first ``count`` keys count ``strength`` times each, (1, keys); nothing where that is once."""
    if strength == 1:
        return []
    row = key.new_zeros(1, key.shape[2])
    row[:, :count] = math.log(strength) if strength else float("-inf")
    return [row]


def _combined_mask(biases: Sequence[Tensor], query: Tensor) -> Tensor | None:
    """One mask for all ``biases``: a single one stays as it is."""
    if len(biases) < 2:
        return biases[0] if biases else None
    return reduce(add, (_as_additive_bias(bias, query) for bias in biases))


def _as_additive_bias(bias: Tensor, scores: Tensor) -> Tensor:
    if bias.dtype != torch.bool:
        return bias
    return torch.zeros_like(bias, dtype=scores.dtype).masked_fill_(~bias, float("-inf"))


def _cosine_scores(attention: Any, query: Tensor, key: Tensor) -> Tensor:
    scores = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
    return scores * torch.clamp(attention.logit_scale, max=MAX_LOGIT_SCALE).exp()


def _project_output(attention: Any, heads: Tensor, gate: Tensor | None) -> Tensor:
    x = heads.transpose(1, 2).flatten(2)
    if getattr(attention, "norm", None) is not None:
        x = attention.norm(x)
    if gate is not None:
        x = x * gate
    return attention.proj_drop(attention.proj(x))
