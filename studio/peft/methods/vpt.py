"""Visual prompt tuning: trained tokens beside those of the image.

VPT: Jia et al. 2022, https://arxiv.org/abs/2203.12119. VPT-shallow is prompt tuning (Lester et al. 2021,
https://arxiv.org/abs/2104.08691) on image tokens.

The prompts of VPT-shallow follow the class token and the registers, pass through all blocks, and count as prefix
tokens, so that pooling leaves them out. Each block of VPT-deep has its own prompts. Their outputs are replaced before
anything reads them, so only their keys and values are computed; other blocks have none.
"""

import math
from typing import Any

import torch
from pydantic import Field
from timm.models.beit import Attention as BeitAttention
from torch import Tensor, nn

from studio.backbones.layer_roles import PRE_NORM_BLOCKS
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.attention_injection import InjectableAttention, project_qkv, token_width
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo

NOT_SCALABLE = N_("VPT-shallow adds whole tokens, so it has no strength; disable it instead.")


class PromptConfig(MethodConfig):
    """Fields of VPT-shallow and VPT-deep."""

    length: int = Field(10, ge=1, le=1024, title=N_("Length"), description=N_("number p of prompts"))
    dropout: float = Field(
        0.0, ge=0, lt=1, title=N_("Dropout"), description=N_("dropout rate of the prompts; 0 disables it")
    )


class PromptedBlock(AdaptedLayer):
    """A block whose input gets ``prompts``, (p, D), after its first ``position`` tokens."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, prompts: nn.Parameter, position: int, dropout: float) -> None:
        super().__init__(base)
        self.prompts, self.position = prompts, position
        self.dropout = nn.Dropout(dropout)

    def forward_adapted(self, x: Tensor, *args: Any, **call: Any) -> Any:
        """Run the block on x (batch, N, D) with the prompts inserted, (batch, N + p, D)."""
        prompts = self.dropout(self.prompts.expand(x.shape[0], -1, -1)).to(x.dtype)
        x = torch.cat([x[:, : self.position], prompts, x[:, self.position :]], dim=1)
        return self.base_layer(x, *args, **call)


class PromptedRelPosBias(InjectableAttention):
    """An attention with relative positions; prompts get zero rows and columns in its bias."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, position: int, length: int) -> None:
        super().__init__(base)
        self.position, self.length = position, length

    def expand_bias(self, bias: Tensor) -> Tensor:
        """Expand (..., N, N) to (..., N + p, N + p)."""
        return self._pad_along(self._pad_along(bias, -1), -2)

    def _pad_along(self, bias: Tensor, dim: int) -> Tensor:
        before, after = bias.split([self.position, bias.shape[dim] - self.position], dim)
        shape = list(bias.shape)
        shape[dim] = self.length
        return torch.cat([before, bias.new_zeros(shape), after], dim)


class PromptStrippedPool(AdaptedLayer):
    """A pooling layer over all tokens, which gets them without the prompts."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, position: int, length: int) -> None:
        super().__init__(base)
        self.position, self.length = position, length

    def forward_adapted(self, x: Tensor, *args: Any, **call: Any) -> Any:
        """Run the layer on x (batch, N + p, D) without the p prompts."""
        return self.base_layer(
            torch.cat([x[:, : self.position], x[:, self.position + self.length :]], dim=1), *args, **call
        )


class DeepPromptAttention(InjectableAttention):
    """The attention of a block with its own ``prompts``, (p, D), beside the tokens of the block."""

    def __init__(self, base: nn.Module, block: nn.Module, prompts: nn.Parameter, dropout: float) -> None:
        super().__init__(base)
        self.block = (block,)  # in a tuple, so that the block does not become a child of its own child
        self.prompts = prompts
        self.dropout = nn.Dropout(dropout)

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of the prompts, from the block's norm and the attention's projections."""
        tokens = self.prompts.unsqueeze(0)
        if self.dropout.p and self.training:
            tokens = self.dropout(tokens.expand(x.shape[0], -1, -1))
        (block,) = self.block
        if isinstance(block, PRE_NORM_BLOCKS):
            tokens = block.norm1(tokens)
        _, key, value = project_qkv(self.unwrapped, tokens)
        return key.expand(x.shape[0], -1, -1, -1), value.expand(x.shape[0], -1, -1, -1)


class VPT(Method[PromptConfig]):
    """Base of both kinds of visual prompt tuning."""

    family = N_("tokens")
    info = MethodInfo(badge="p{length}")
    paper = "Jia et al. 2022, https://arxiv.org/abs/2203.12119"
    Config = PromptConfig
    identity_at_init = False
    learning_rate = 5e-3


@register
class VPTShallow(VPT):
    """VPT-shallow: prompt tuning."""

    name = "vpt_shallow"
    label = N_("VPT-shallow")
    summary = N_("Prompt tuning: adds trained tokens to those of the image, before the first block.")
    info = MethodInfo(
        badge="p{length}",
        when_to_use=N_("Very many tasks on one backbone: only a few tokens and the classifier are stored for each."),
    )
    not_mergeable_reason = N_(
        "VPT-shallow cannot be merged: no weight of the backbone can represent its tokens. "
        "Export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.BACKBONE,)), DefaultSites((Role.BLOCK,)))

    def unsupported_reason(self, layer: Layer, config: PromptConfig, slices: tuple[str, ...]) -> str:
        """Support a plain vision transformer, or its first block, which is equivalent."""
        if layer.prefix_tokens is None:
            return N_(
                "{method} needs a plain vision transformer (ViT, DeiT, DINO, SigLIP, EVA, BEiT) as a whole; "
                "this is a {type}.",
                method=self.label,
                type=layer.type,
            )
        if layer.role is Role.BLOCK and layer.name != "0":
            return N_("{method} adds tokens before the first block only; use VPT-deep here.", method=self.label)
        return ""

    def attach(self, site: AttachmentSite[PromptConfig]) -> None:
        """Insert the prompts before the first block, and count them as prefix tokens."""
        path = site.layer.path
        network = path.rpartition("blocks.0")[0].rstrip(".") if site.layer.role is Role.BLOCK else path
        if network in site.shared:  # the backbone and its first block are both targets
            return
        site.shared[network] = True
        _insert_prompts(site, network)


@register
class VPTDeep(VPT):
    """VPT-deep: own prompts for each block."""

    name = "vpt_deep"
    label = N_("VPT-deep")
    summary = N_("Adds trained tokens to those of the image in each block.")
    info = MethodInfo(
        badge="p{length}",
        when_to_use=N_("Transformers and few images: all weights stay frozen and the files are small."),
    )
    not_mergeable_reason = N_(
        "VPT-deep cannot be merged: no weight of the backbone can represent its tokens. "
        "Export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.BLOCK,)),)

    def unsupported_reason(self, layer: Layer, config: PromptConfig, slices: tuple[str, ...]) -> str:
        """Support transformer blocks whose attention keys and values can be injected into."""
        if layer.role is Role.ATTENTION or not layer.supports_kv_injection:
            return N_(
                "{method} needs a block with a ViT, EVA, BEiT or Swin attention; this is a {type}.",
                method=self.label,
                type=layer.type,
            )
        return ""

    def attach(self, site: AttachmentSite[PromptConfig]) -> None:
        """Inject the keys and values of the prompts into the block's attention."""
        prompts = _init_prompts(site, token_width(site.module.attn))
        site.replace(
            lambda base: DeepPromptAttention(base, site.module, prompts, site.config.dropout),
            f"{site.layer.path}.attn",
            innermost=True,
        )


def _insert_prompts(site: AttachmentSite[PromptConfig], network: str) -> None:
    inside = f"{network}." if network else ""
    owner: Any = site.modules[network]
    position, length = _prompt_position(site, network), site.config.length
    pooling = _pooling_over_prefix(owner)
    prompts = _init_prompts(site, owner.embed_dim)
    site.replace(lambda base: PromptedBlock(base, prompts, position, site.config.dropout), f"{inside}blocks.0")
    site.add_to_count("num_prefix_tokens", length, network)
    for path in (f"{inside}blocks.{i}.attn" for i in range(len(owner.blocks))):
        attention = site.modules.get(path)
        if hasattr(attention, "num_prefix_tokens"):  # RoPE applies only to the tokens after them
            site.add_to_count("num_prefix_tokens", length, path)
        if isinstance(attention, BeitAttention):
            site.replace(lambda base: PromptedRelPosBias(base, position, length), path, innermost=True)
    if pooling:
        site.replace(lambda base: PromptStrippedPool(base, position, length), f"{inside}{pooling}")


def _prompt_position(site: AttachmentSite[PromptConfig], network: str) -> int:
    """Return the number of prefix tokens of the backbone itself, without those of other attachments."""
    position = next(layer.prefix_tokens for layer in site.layers if layer.path == network)
    assert position is not None
    return position


def _pooling_over_prefix(owner: Any) -> str:
    """Return the name of the pooling layer over all tokens, empty for none; StudioError if pooling is unsupported."""
    resized = getattr(owner, "dynamic_img_size", False) and owner.pos_embed is not None
    if resized and not owner.no_embed_class:
        raise StudioError(
            "unsupported-layer",
            "Cannot attach VPT-shallow: this backbone resizes its position embedding by the number of prefix tokens. "
            "Use VPT-deep.",
        )
    if getattr(owner, "attn_pool", None) is not None:
        return "attn_pool" if getattr(owner, "pool_include_prefix", True) else ""  # EVA pools over all
    if getattr(owner, "pool_include_prefix", False) and owner.global_pool != "token":
        raise StudioError(
            "unsupported-layer",
            "Cannot attach VPT-shallow: this backbone averages over all tokens, including prompts. Use VPT-deep.",
        )
    return ""


def _init_prompts(site: AttachmentSite[PromptConfig], width: int) -> nn.Parameter:
    """Return prompts initialized as in VPT: uniform, with the Xavier bound of the patch embedding."""
    patches = (layer.shape for layer in site.layers if layer.path.endswith("patch_embed.proj"))
    pixels = math.prod(next(patches, (0, width))[1:])
    bound = math.sqrt(6 / (pixels + width))
    return nn.Parameter(torch.empty(site.config.length, width, **site.factory_kwargs).uniform_(-bound, bound))
