"""Which way attention is computed: torch's fused kernel, or products and softmax one after the other.

The fused kernel saves memory and on a GPU time. On a CPU its backward pass in bfloat16 does its sums in float32, three
times slower than plain products, which the processor's bfloat16 instructions do; at 197 tokens a whole training step
with plain attention takes 0.7 of the time.
"""

import torch
from torch import nn

from studio.training.backend.precision import Precision

_MAX_TOKENS = 1024
"""With more tokens the scores of all pairs take too much memory."""


def set_fused_attention(model: nn.Module, device: torch.device, precision: Precision) -> None:
    """Let timm's attention layers in ``model`` compute in the way that trains faster there."""
    tokens = getattr(getattr(model, "patch_embed", None), "num_patches", None)
    if device.type != "cpu" or precision != "bfloat16" or tokens is None or tokens > _MAX_TOKENS:
        return
    for layer in model.modules():
        if getattr(layer, "fused_attn", False):
            layer.fused_attn = False  # type: ignore[assignment]
