"""The layer tree of a backbone as plain rows with roles; works on the meta device too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from timm.layers import Conv2dSame, LayerScale, LayerScale2d, RmsNorm, SEModule
from timm.layers.attention import Attention, AttentionRope
from timm.models.beit import Attention as BeitAttention
from timm.models.beit import Beit
from timm.models.beit import Block as BeitBlock
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from torch import nn

from studio.backbones.residual_branches import token_width
from studio.core.layers import Layer, Role, is_within
from studio.core.messages import N_

FUSED_QKV_ATTENTIONS = (Attention, AttentionRope, BeitAttention, EvaAttention, WindowAttention, WindowAttentionV2)
"""Attentions whose fused qkv has the rows [q; k; v]; others interleave heads or have unequal widths."""

PRE_NORM_BLOCKS = (Block, EvaBlock, BeitBlock, SwinTransformerBlock)
"""Blocks that call ``attn(norm1(x))``."""

POST_NORM_BLOCKS = (ResPostBlock, EvaBlockPostNorm, SwinTransformerV2Block)
"""Blocks that call ``attn(x)``."""

BIAS_NAMES = frozenset({"bias", "q_bias", "v_bias", "in_proj_bias"})
"""Names of bias parameters: BEiT, EVA and Swin V2 hold those of q and v in the attention, as torch's own does."""

OUTER_BIAS_NAMES = {"q": "q_bias", "v": "v_bias"}
"""Names of the biases that an attention adds to the output of its qkv; that of k is always zero."""

_TOKEN_ROLES = (Role.BLOCK, Role.ATTENTION, Role.MLP)
_TOKEN_MODELS = (VisionTransformer, Eva, Beit)
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, RmsNorm, nn.BatchNorm1d, nn.BatchNorm2d)
_BLOCK_PATH = re.compile(
    r"(?:\A|[._])(?:blocks(?:_token_only)?(?:\.\d+){1,2}|(?:stages|layers)\.\d+\.\d+|post_network\.\d+|network\.\d+\.\d+"
    r"|(?:layer|stage)\d+\.\d+|s\d+\.b\d+|denselayer\d+|transformer_encoder\.\d+)\Z"
)
_STAGE_PATH = re.compile(
    r"(?:\A|[._])(?:(?:stages|layers|blocks|network|levels)\.\d+|(?:layer|stage|s|denseblock)\d+)\Z"
)
_STEM_NAMES = ("patch_embed", "stem", "conv_stem")
_ATTENTION_ROLES = {
    "qkv": Role.QKV,
    "q": Role.Q,
    "q_proj": Role.Q,
    "k": Role.K,
    "k_proj": Role.K,
    "v": Role.V,
    "v_proj": Role.V,
    "o": Role.O,
    "proj": Role.O,
    "out_proj": Role.O,
}
_MLP_ROLES = {"fc1": Role.FC1, "fc1_g": Role.FC1, "fc1_x": Role.FC1, "fc2": Role.FC2}


def describe_layers(module: nn.Module) -> tuple[Layer, ...]:
    """Return one row for each layer, in pre-order; the first is the backbone itself, with an empty path."""
    heads = classifier_paths(module)
    modules = dict(module.named_modules(remove_duplicate=False))
    blocks = _block_indices(modules)
    totals = _subtree_parameters(modules)
    names = _subtree_names(modules)
    roles = {path: _role(path, layer, modules, heads, blocks) for path, layer in modules.items()}
    widths = {path: token_width(m) if roles[path] in _TOKEN_ROLES else (0, False) for path, m in modules.items()}
    return tuple(
        Layer(
            path=path,
            type=type(layer).__name__,
            kind=_kind(layer),
            role=roles[path],
            parameters=totals[path],
            own_parameters=sum(p.numel() for p in layer.parameters(recurse=False)),
            shape=_weight_shape(layer),
            slices=_slices(path, layer, modules),
            block=_enclosing_block(path, blocks),
            groups=getattr(layer, "groups", 1) if isinstance(layer, nn.Conv2d) else 1,
            has_bias=isinstance(getattr(layer, "bias", None), nn.Parameter),
            parameter_names=names[path],
            bypass_reason=_bypass_reason(path, modules),
            prefix_tokens=_prefix_tokens(path, modules, blocks),
            supports_kv_injection=_supports_kv_injection(layer),
            width=widths[path][0],
            channels_first=widths[path][1],
        )
        for path, layer in modules.items()
    )


def classifier_paths(module: nn.Module) -> tuple[str, ...]:
    """Return the paths of the classifier's layers: one, two for distilled DeiT, none without a classifier."""
    named = (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
    candidates = (named,) if isinstance(named, str) else tuple(named)
    found = tuple(path for path in candidates if _has_parameters(module, path))
    if found or not hasattr(module, "get_classifier"):
        return found
    classifier = module.get_classifier()  # type: ignore[operator]
    heads = classifier if isinstance(classifier, tuple) else (classifier,)
    return tuple(
        path for path, layer in module.named_modules() if any(layer is h for h in heads) and _is_parametric(layer)
    )


def call_through_flag(parent: nn.Module, name: str) -> str:
    """Return the flag that makes ``parent`` call its child ``name`` instead of only reading its weight.

    Empty if it always calls it. timm's BEiT, EVA and Swin V2 compute ``F.linear(x, self.qkv.weight, bias)`` unless it
    is set, which bypasses an adapter.
    """
    return "qkv_bias_separate" if name == "qkv" and hasattr(parent, "qkv_bias_separate") else ""


def _has_parameters(module: nn.Module, path: str) -> bool:
    try:
        return _is_parametric(module.get_submodule(path))
    except AttributeError:
        return False


def _is_parametric(layer: nn.Module) -> bool:
    return next(layer.parameters(), None) is not None


def _block_indices(modules: dict[str, nn.Module]) -> dict[str, int]:
    """Return the paths of the residual blocks, numbered through the whole network."""
    found = [
        p
        for p, m in modules.items()
        if _BLOCK_PATH.search(p) and next(m.children(), None) and not isinstance(m, nn.Sequential | nn.ModuleList)
    ]
    outermost = [p for p in found if not any(p != q and p.startswith(q + ".") for q in found)]
    return {path: index for index, path in enumerate(outermost)}


def _enclosing_block(path: str, blocks: dict[str, int]) -> int | None:
    return next((blocks[p] for p in _self_and_ancestors(path) if p in blocks), None)


def _self_and_ancestors(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _subtree_parameters(modules: dict[str, nn.Module]) -> dict[str, int]:
    """Return the parameters in each subtree; a shared tensor counts once in each subtree that has it."""
    own = {path: {id(p): p.numel() for p in layer.parameters(recurse=False)} for path, layer in modules.items()}
    inside: dict[str, dict[int, int]] = {path: dict(sizes) for path, sizes in own.items()}
    for path in reversed(list(modules)):
        if path:
            inside[path.rpartition(".")[0]].update(inside[path])
    return {path: sum(sizes.values()) for path, sizes in inside.items()}


def _kind(layer: nn.Module) -> str:
    """Return the torch type, but only if the layer computes exactly the same."""
    forward = type(layer).forward
    if isinstance(layer, nn.Linear | nn.Conv2d) and not _weight_shape(layer):
        return ""  # computed from other parameters at each call (weight norm)
    if isinstance(layer, nn.Linear) and forward is nn.Linear.forward:
        return "linear"
    if isinstance(layer, nn.Conv2d) and forward in (nn.Conv2d.forward, Conv2dSame.forward):
        return "conv2d"
    return "norm" if isinstance(layer, _NORMS) else ""


def _subtree_names(modules: dict[str, nn.Module]) -> dict[str, frozenset[str]]:
    """Return the last names of the parameters in each subtree."""
    inside = {path: {n for n, _ in m.named_parameters(recurse=False)} for path, m in modules.items()}
    for path in reversed(list(modules)):
        if path:
            inside[path.rpartition(".")[0]] |= inside[path]
    return {path: frozenset(names) for path, names in inside.items()}


def _role(
    path: str, layer: nn.Module, modules: dict[str, nn.Module], heads: tuple[str, ...], blocks: dict[str, int]
) -> Role:
    if not path:
        return Role.BACKBONE
    if any(is_within(path, head) for head in heads):
        return Role.HEAD
    if path in blocks:
        return Role.BLOCK
    if _is_attention(layer):
        return Role.ATTENTION
    return _named_role(path, layer, modules)


def _child_roles(path: str, modules: dict[str, nn.Module]) -> Mapping[str, Role]:
    """Return the roles of the layers of an attention or an MLP by name; empty for other layers."""
    if _is_attention(modules[path]):
        return _ATTENTION_ROLES
    return _MLP_ROLES if _is_block_mlp(path, modules) else {}


def _named_role(path: str, layer: nn.Module, modules: dict[str, nn.Module]) -> Role:
    parent_path, _, name = path.rpartition(".")
    if _has_weight(layer) and name in (parts := _child_roles(parent_path, modules)):
        return parts[name]
    if name in _STEM_NAMES and not parent_path:
        return Role.PATCH_EMBEDDING
    if isinstance(layer, _NORMS):
        return Role.NORM
    if _is_block_mlp(path, modules):
        return Role.MLP
    if _STAGE_PATH.search(path) and not _is_deeply_nested(path):
        return Role.STAGE
    if isinstance(layer, nn.Conv2d):
        return Role.CONV
    return Role.OTHER if not isinstance(layer, LayerScale | LayerScale2d) else Role.SCALE


def _has_weight(layer: nn.Module) -> bool:
    """Return whether it is a linear layer or a convolution, alone or with its normalization."""
    return any(isinstance(part, nn.Linear | nn.Conv2d) for part in layer.modules())


def _is_block_mlp(path: str, modules: dict[str, nn.Module]) -> bool:
    """Return whether it is an MLP outside of attention (position biases) and of attention pooling."""
    return _is_mlp(modules[path]) and not any(_has_query_projection(modules[p]) for p in _self_and_ancestors(path))


def _is_mlp(layer: nn.Module) -> bool:
    """Return whether it has fc1 and fc2 and is no squeeze-and-excitation, which scales channels."""
    has_both = hasattr(layer, "fc1") and hasattr(layer, "fc2")
    return (has_both or hasattr(layer, "fc1_g")) and not isinstance(layer, SEModule)


def _is_deeply_nested(path: str) -> bool:
    return path.count(".") > 1


def _is_attention(layer: nn.Module) -> bool:
    """Return whether it is an attention and no attention pooling (SigLIP), which has its own MLP."""
    return _has_query_projection(layer) and not hasattr(layer, "mlp")


def _has_query_projection(layer: nn.Module) -> bool:
    fused = any(hasattr(layer, name) for name in ("qkv", "q_proj", "qk"))
    return fused or (hasattr(layer, "q") and (hasattr(layer, "k") or hasattr(layer, "kv")))


def _weight_shape(layer: nn.Module) -> tuple[int, ...]:
    weight = getattr(layer, "weight", None)
    return tuple(weight.shape) if isinstance(weight, nn.Parameter) else ()


def _slices(path: str, layer: nn.Module, modules: dict[str, nn.Module]) -> tuple[str, ...]:
    parent, _, name = path.rpartition(".")
    fused = name == "qkv" and isinstance(layer, nn.Linear) and isinstance(modules[parent], FUSED_QKV_ATTENTIONS)
    return ("q", "k", "v") if fused else ()


def _prefix_tokens(path: str, modules: dict[str, nn.Module], blocks: dict[str, int]) -> int | None:
    network = modules.get(path.rpartition(".")[0].rpartition(".")[0] if path in blocks else path)
    return int(network.num_prefix_tokens) if isinstance(network, _TOKEN_MODELS) else None  # type: ignore[arg-type]


def _supports_kv_injection(layer: nn.Module) -> bool:
    """Return whether keys and values can be injected; subclasses are excluded: their forward may differ."""
    attention = layer.attn if type(layer) in PRE_NORM_BLOCKS + POST_NORM_BLOCKS else layer
    return type(attention) in FUSED_QKV_ATTENTIONS


def _bypass_reason(path: str, modules: dict[str, nn.Module]) -> str:
    """Return why the layer is never called: torch's own attention passes weights to a fused function."""
    parent = modules[path.rpartition(".")[0]] if path else None
    if isinstance(parent, nn.MultiheadAttention):
        return N_("torch's MultiheadAttention reads this layer's weight and never calls the layer.")
    if isinstance(parent, nn.TransformerEncoderLayer):
        return N_(
            "torch's TransformerEncoderLayer reads this layer's weight without calling the layer in evaluation mode."
        )
    return ""
