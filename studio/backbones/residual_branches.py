"""The residual branches of a block: token width, first and last layer.

A block computes ``x + drop_path(scale(sublayer(norm(x))))``, with a norm before or after the sub-layer, and with a
layer scale that is a layer (DINOv2), a bare parameter (BEiT, EVA, DINOv3, ConvNeXt) or missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from timm.layers import LayerScale, LayerScale2d
from timm.models.beit import Block as BeitBlock
from timm.models.convnext import ConvNeXtBlock
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.maxxvit import MaxxVitBlock
from timm.models.mvitv2 import MultiScaleAttention, MultiScaleAttentionPoolFirst
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from timm.models.swin_transformer_v2_cr import SwinTransformerV2CrBlock
from timm.models.vision_transformer import Block, ResPostBlock
from torch import nn

_POST_NORM = (ResPostBlock, EvaBlockPostNorm, SwinTransformerV2Block, SwinTransformerV2CrBlock)
_TOKEN_BLOCKS = (Block, EvaBlock, BeitBlock, SwinTransformerBlock, *_POST_NORM)
_IMAGE_BLOCKS = (ConvNeXtBlock, MaxxVitBlock)
_SPATIAL_ATTENTIONS = (MultiScaleAttention, MultiScaleAttentionPoolFirst)
"""Attentions that return the height and width of the tokens with the tokens."""

_SUBLAYER_NUMBERS = {"attn": "1", "mlp": "2"}
"""timm's numbers of the layers around a block's attention (norm1, ls1, drop_path1) and MLP (norm2, ls2, drop_path2)."""


def token_width(layer: nn.Module) -> tuple[int, bool]:
    """Return the token width of an attention, an MLP or a block, and whether the features are the first dimension.

    They are first in (N, C, H, W) and last in (N, tokens, C) and (N, H, W, C). (0, False) if they are unknown or differ
    between input and output.
    """
    if isinstance(layer, _TOKEN_BLOCKS + _IMAGE_BLOCKS):
        inner = [width for part in layer.modules() if hasattr(part, "fc2") and (width := token_width(part))[0]]
        return (inner[-1][0], isinstance(layer, _IMAGE_BLOCKS)) if inner else (0, False)
    first = _first_projection(layer, "fc1", "fc1_g", "qkv", "q_proj", "q")
    last = _first_projection(layer, "fc2", "proj", "out_proj")
    if (
        isinstance(layer, _SPATIAL_ATTENTIONS)
        or first is None
        or last is None
        or _out_in_features(first)[1] != _out_in_features(last)[0]
    ):
        return 0, False
    return _out_in_features(last)[0], isinstance(last, nn.Conv2d)


def _first_projection(layer: nn.Module, *names: str) -> nn.Module | None:
    return next(
        (child for name in names if isinstance(child := getattr(layer, name, None), nn.Linear | nn.Conv2d)), None
    )


def _out_in_features(layer: nn.Module) -> tuple[int, int]:
    """Return output and input features."""
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels, layer.in_channels
    assert isinstance(layer, nn.Linear)
    return layer.out_features, layer.in_features


@dataclass(frozen=True, slots=True)
class ResidualBranch:
    """The residual branch around one sub-layer, as paths of layers.

    ``start`` gets the residual stream before any normalization; ``norm`` is the branch's normalization, empty if
    unknown. The output of ``end`` is the sub-layer's output after the layer scale; without a layer scale it is the
    sub-layer itself. ``end_channels_first`` tells whether that output is (N, C, H, W). ``hookable`` is False if there
    is a layer scale but no layer after it.
    """

    start: str
    norm: str
    end: str
    end_channels_first: bool
    hookable: bool = True


def find_residual_branch(path: str, modules: Mapping[str, nn.Module], channels_first: bool) -> ResidualBranch:
    """Return the branch around the sub-layer at ``path``, whose own output is ``channels_first`` or not."""
    parent_path, _, name = path.rpartition(".")
    parent, number = modules[parent_path], _SUBLAYER_NUMBERS.get(name, "")
    norm = _child_path(parent_path, parent, f"norm{number}", "norm") if number else ""
    post_norm = isinstance(parent, _POST_NORM)
    start = path if post_norm or not norm else norm
    scale = _child_path(parent_path, parent, f"ls{number}", "ls") if number else ""
    if isinstance(modules.get(scale), LayerScale | LayerScale2d):
        return ResidualBranch(start, norm, scale, isinstance(modules[scale], LayerScale2d))
    if isinstance(parent, BeitBlock | EvaBlock) and getattr(parent, f"gamma_{number}", None) is not None:
        return ResidualBranch(start, norm, f"{parent_path}.drop_path{number}", False)
    if isinstance(parent, ConvNeXtBlock) and parent.gamma is not None:
        return ResidualBranch(start, norm, f"{parent_path}.drop_path", True)
    known = isinstance(parent, _TOKEN_BLOCKS + _IMAGE_BLOCKS)
    return ResidualBranch(start, norm, path, channels_first, known or not _has_scale(parent))


def _child_path(path: str, parent: nn.Module, *names: str) -> str:
    """Return the path of the first existing child among ``names``; empty for none."""
    return next((f"{path}.{n}" if path else n for n in names if getattr(parent, n, None) is not None), "")


def _has_scale(parent: nn.Module) -> bool:
    own = (*parent.named_parameters(recurse=False), *parent.named_children())
    return any(name.startswith(("gamma", "layer_scale")) for name, _ in own)
