"""timm's attentions, re-implemented so that adapters can inject keys, values and outputs.

timm gives no access to the queries, keys and values inside an attention. :func:`attention_forward` repeats the
computation in the order of timm's own forward, calls the attention's own layers, which may be adapted themselves, and
adds the contributions of :class:`InjectableAttention` adapters. Without adapters it equals timm's result bit for bit.
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
"""Swin V2's upper bound of its logit scale."""


class InjectableAttention(AdaptedLayer):
    """An attention with an adapter inside.

    Several on one attention are nested directly, below all other adapters (:meth:`AttachmentSite.replace` with
    ``innermost``); the outermost computes the attention for all of them.
    """

    def expand_bias(self, bias: Tensor) -> Tensor:
        """Return a bias of the scores, (..., queries, keys), expanded for tokens that the backbone does not know."""
        return bias

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return extra keys and values for every query, each (batch, heads, m, head width); None for none."""
        return None

    def extra_output(self, query: Tensor) -> Tensor | None:
        """Return an addition to the heads' output, (batch, heads, N, head width), the shape of ``query``."""
        return None

    def forward_adapted(self, x: Tensor, **call: Any) -> Tensor:
        """Compute the attention of ``x``, (batch, N, D), with the contributions of all adapters by their strengths.

        The weight of extra keys is multiplied by the strength, so that at 0 no query attends to them.
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
    """Compute timm's forward of ``attention`` on ``x``, (batch, N, D), with the contributions of ``adapters``.

    ``call`` are the masks and biases that the attention is called with.
    """
    gate = attention.gate(x).sigmoid() if getattr(attention, "gate", None) is not None else None
    query, key, value = project_qkv(attention, x)
    if rope is not None:
        query, key = (_apply_rope(attention, heads, rope).type_as(value) for heads in (query, key))
    biases = _attention_biases(attention, x, **call)
    for adapter in adapters:
        biases = [adapter.expand_bias(bias) for bias in biases]
    for adapter in adapters:
        extra = adapter.extra_kv(x)
        if extra is not None:
            key, value = _prepend(extra[0], key), _prepend(extra[1], value)
            biases = [_pad_keys(bias, extra[0].shape[2]) for bias in biases]
            biases += _strength_bias(extra[0].shape[2], key, adapter.strength)
    heads = scaled_dot_product(attention, query, key, value, biases)
    for adapter in adapters:
        added = adapter.extra_output(query)
        heads = heads if added is None else heads + adapter.strength * added.to(heads.dtype)
    return _project_output(attention, heads, gate)


def project_qkv(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of ``x``, (batch, N, D), each (batch, heads, N, head width), without RoPE."""
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
    """Return softmax(query key + biases) value as ``attention`` computes it, (batch, heads, N, head width)."""
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
    """Return the number of key and value heads, which several query heads may share."""
    return getattr(attention, "num_kv_heads", attention.num_heads)


def kv_width(attention: Any) -> int:
    """Return the width of all key heads together, which is also that of the value heads."""
    fused = getattr(attention, "qkv", None)
    return fused.out_features // 3 if fused is not None else attention.k_proj.out_features


def token_width(attention: Any) -> int:
    """Return the width of the input tokens."""
    fused = getattr(attention, "qkv", None)
    return fused.in_features if fused is not None else attention.k_proj.in_features


def _fused_qkv(attention: Any, x: Tensor) -> Tensor:
    """Return the output of qkv; BEiT, EVA and Swin V2 hold its bias in pieces, with zero for k."""
    if getattr(attention, "q_bias", None) is None:
        return attention.qkv(x)
    bias = torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
    if not attention.qkv_bias_separate:
        return functional.linear(x, attention.qkv.weight, bias)
    qkv = attention.qkv(x)
    qkv += bias  # in place as in timm: under autocast the sum stays in the lower precision
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
    """Return the additions to the scores, each (..., queries, keys): relative position biases and masks."""
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
    """Return Swin V2's relative position bias, (1, heads, area, area), computed by a small network."""
    table = attention.cpb_mlp(attention.relative_coords_table).view(-1, attention.num_heads)
    area = attention.window_size[0] * attention.window_size[1]
    bias = table[attention.relative_position_index.view(-1)].view(area, area, -1).permute(2, 0, 1).contiguous()
    return (16 * torch.sigmoid(bias)).unsqueeze(0)


def _prepend(new: Tensor, old: Tensor) -> Tensor:
    return torch.cat([new.to(old.dtype), old], dim=2)


def _pad_keys(bias: Tensor, count: int) -> Tensor:
    """Pad ``bias`` with 0 (or True in a boolean mask) for ``count`` leading keys, which every query attends to."""
    return functional.pad(bias, (count, 0), value=1.0 if bias.dtype == torch.bool else 0.0)


def _strength_bias(count: int, key: Tensor, strength: float) -> list[Tensor]:
    """Return a bias (1, keys) that multiplies the weight of the first ``count`` keys by ``strength``; none for 1."""
    if strength == 1:
        return []
    row = key.new_zeros(1, key.shape[2])
    row[:, :count] = math.log(strength) if strength else float("-inf")
    return [row]


def _combined_mask(biases: Sequence[Tensor], query: Tensor) -> Tensor | None:
    """Return the sum of ``biases`` as one mask; a single one is returned unchanged, None for none."""
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
