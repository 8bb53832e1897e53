"""The choice of the attention kernel."""

from typing import Any

import pytest
import timm
import torch

from studio.training.backend import fused_attention


@pytest.mark.parametrize(
    ("precision", "size", "fused"), [("bfloat16", 32, False), ("float32", 32, True), ("bfloat16", 544, True)]
)
def test_attention_is_not_fused_if_the_kernel_is_slow(precision: Any, size: int, fused: bool) -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=size, embed_dim=16, depth=2, num_heads=2).eval()
    images = torch.randn(1, 3, size, size)
    with torch.no_grad():
        before = vit(images)
        fused_attention.set_fused_attention(vit, torch.device("cpu"), precision)
        assert [block.attn.fused_attn for block in vit.blocks] == [fused] * 2
        assert torch.allclose(vit(images), before, atol=1e-5)
