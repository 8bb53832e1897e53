"""Prompts: trained tokens beside those of the image.

VPT: Jia et al. 2022, https://arxiv.org/abs/2203.12119. VPT-shallow is prompt tuning (Lester et al. 2021,
https://arxiv.org/abs/2104.08691) on image tokens.

The prompts of VPT-shallow stand after the class token and the registers, are carried through all blocks, and count as
prefix tokens, so that pooling leaves them out. Those of VPT-deep live in one block each: what comes of them there is
replaced before anything reads it, so only their keys and values are computed. In blocks that are not chosen there are
none.
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
from studio.peft.attention_injection import InjectableAttention, project_qkv, token_width
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register

NOT_SCALABLE = "VPT-shallow adds whole tokens, which are there or not; switch it off instead."


class PromptConfig(MethodConfig):
    """Fields of VPT-shallow and VPT-deep."""

    length: int = Field(10, ge=1, le=1024, description="p, how many prompts")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the prompts while training")


class PromptedBlock(AdaptedLayer):
    """A block that prompts enter: ``prompts``, (p, D), go in after the first ``position`` tokens of x."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, prompts: nn.Parameter, position: int, dropout: float) -> None:
        super().__init__(base)
        self.prompts, self.position = prompts, position
        self.dropout = nn.Dropout(dropout)

    def forward_adapted(self, x: Tensor, *args: Any, **call: Any) -> Any:
        """The block on x (batch, N, D) with the prompts among its tokens, (batch, N + p, D)."""
        prompts = self.dropout(self.prompts.expand(x.shape[0], -1, -1)).to(x.dtype)
        x = torch.cat([x[:, : self.position], prompts, x[:, self.position :]], dim=1)
        return self.base_layer(x, *args, **call)


class PromptedRelPosBias(InjectableAttention):
    """An attention whose relative positions know nothing of prompts: their rows and columns of the bias are zero."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, position: int, length: int) -> None:
        super().__init__(base)
        self.position, self.length = position, length

    def expand_bias(self, bias: Tensor) -> Tensor:
        """(..., N, N) to (..., N + p, N + p)."""
        return self._pad_along(self._pad_along(bias, -1), -2)

    def _pad_along(self, bias: Tensor, dim: int) -> Tensor:
        before, after = bias.split([self.position, bias.shape[dim] - self.position], dim)
        shape = list(bias.shape)
        shape[dim] = self.length
        return torch.cat([before, bias.new_zeros(shape), after], dim)


class PromptStrippedPool(AdaptedLayer):
    """A pooling layer that would look at the prompts too: it gets the tokens without them."""

    not_scalable_reason = NOT_SCALABLE

    def __init__(self, base: nn.Module, position: int, length: int) -> None:
        super().__init__(base)
        self.position, self.length = position, length

    def forward_adapted(self, x: Tensor, *args: Any, **call: Any) -> Any:
        """The layer on x (batch, N + p, D) without the p prompts."""
        return self.base_layer(
            torch.cat([x[:, : self.position], x[:, self.position + self.length :]], dim=1), *args, **call
        )


class DeepPromptAttention(InjectableAttention):
    """The attention of a block with prompts of its own: ``prompts``, (p, D), enter the block beside its tokens."""

    def __init__(self, base: nn.Module, block: nn.Module, prompts: nn.Parameter, dropout: float) -> None:
        super().__init__(base)
        self.block = (block,)  # in a tuple: the block holds this attention, not the other way round
        self.prompts = prompts
        self.dropout = nn.Dropout(dropout)

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the prompts, through the block's norm and the attention's projections."""
        tokens = self.prompts.unsqueeze(0)
        if self.dropout.p and self.training:
            tokens = self.dropout(tokens.expand(x.shape[0], -1, -1))
        (block,) = self.block
        if isinstance(block, PRE_NORM_BLOCKS):
            tokens = block.norm1(tokens)
        _, key, value = project_qkv(self.unwrapped, tokens)
        return key.expand(x.shape[0], -1, -1, -1), value.expand(x.shape[0], -1, -1, -1)


class VPT(Method[PromptConfig]):
    """What both kinds of visual prompt tuning have in common."""

    family = "tokens"
    paper = "Jia et al. 2022, https://arxiv.org/abs/2203.12119"
    Config = PromptConfig
    identity_at_init = False
    learning_rate = 5e-3

    def short_text(self, config: PromptConfig) -> str:
        """The number of prompts."""
        return f"p{config.length}"


@register
class VPTShallow(VPT):
    """VPT-shallow: prompt tuning."""

    name = "vpt_shallow"
    label = "VPT-shallow"
    summary = "Prompt tuning: puts some trained tokens beside those of the image, before the first block."
    when_to_use = "Very many tasks on one backbone: a few tokens and the classifier are all that is kept."
    not_mergeable_reason = (
        "VPT-shallow adds tokens to the sequence, and no weight of the backbone can hold them: "
        "export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.BACKBONE,)), DefaultSites((Role.BLOCK,)))

    def unsupported_reason(self, layer: Layer, config: PromptConfig, slices: tuple[str, ...]) -> str:
        """A plain vision transformer, or its first block, which means the same."""
        if layer.prefix_tokens is None:
            return (
                f"{self.label} needs a plain vision transformer (ViT, DeiT, DINO, SigLIP, EVA, BEiT) as a whole; "
                f"{layer.type} is not one."
            )
        if layer.role is Role.BLOCK and layer.name != "0":
            return f"{self.label} enters before the first block; VPT-deep gives this block prompts of its own."
        return ""

    def attach(self, site: AttachmentSite[PromptConfig]) -> None:
        """Insert the prompts at the first block and have everything that counts tokens count them."""
        path = site.layer.path
        network = path.rpartition("blocks.0")[0].rstrip(".") if site.layer.role is Role.BLOCK else path
        if network in site.shared:  # the backbone and its first block are both named
            return
        site.shared[network] = True
        _insert_prompts(site, network)


@register
class VPTDeep(VPT):
    """VPT-deep: prompts of its own for each block."""

    name = "vpt_deep"
    label = "VPT-deep"
    summary = "Gives each block some trained tokens of its own beside those of the image."
    when_to_use = "Transformers and few images; weights stay as they are and files are small."
    not_mergeable_reason = (
        "VPT-deep adds tokens to each block, and no weight of the backbone can hold them: "
        "export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.BLOCK,)),)

    def unsupported_reason(self, layer: Layer, config: PromptConfig, slices: tuple[str, ...]) -> str:
        """Transformer blocks whose attention the engine can open."""
        if layer.role is Role.ATTENTION or not layer.supports_kv_injection:
            return f"{self.label} needs a block with a ViT, EVA, BEiT or Swin attention; {layer.type} is none."
        return ""

    def attach(self, site: AttachmentSite[PromptConfig]) -> None:
        """Open the block's attention and give it the prompts' keys and values."""
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
        if hasattr(attention, "num_prefix_tokens"):  # RoPE turns only what comes after them
            site.add_to_count("num_prefix_tokens", length, path)
        if isinstance(attention, BeitAttention):
            site.replace(lambda base: PromptedRelPosBias(base, position, length), path, innermost=True)
    if pooling:
        site.replace(lambda base: PromptStrippedPool(base, position, length), f"{inside}{pooling}")


def _prompt_position(site: AttachmentSite[PromptConfig], network: str) -> int:
    """Tokens before the patches in the backbone itself, whatever other attachments add."""
    position = next(layer.prefix_tokens for layer in site.layers if layer.path == network)
    assert position is not None
    return position


def _pooling_over_prefix(owner: Any) -> str:
    """Name of the pooling layer that looks at prefix tokens too; empty where there is none."""
    resized = getattr(owner, "dynamic_img_size", False) and owner.pos_embed is not None
    if resized and not owner.no_embed_class:
        raise StudioError(
            "This backbone adapts its position embedding to each image and counts prefix tokens for that, "
            "so VPT-shallow cannot add any; VPT-deep works here."
        )
    if getattr(owner, "attn_pool", None) is not None:
        return "attn_pool" if getattr(owner, "pool_include_prefix", True) else ""  # EVA has no choice
    if getattr(owner, "pool_include_prefix", False) and owner.global_pool != "token":
        raise StudioError("This backbone averages over all tokens, prompts included; VPT-deep works here.")
    return ""


def _init_prompts(site: AttachmentSite[PromptConfig], width: int) -> nn.Parameter:
    """Prompts as VPT begins them: uniform as Xavier would draw the weights from a patch's pixels to its token."""
    patches = (layer.shape for layer in site.layers if layer.path.endswith("patch_embed.proj"))
    pixels = math.prod(next(patches, (0, width))[1:])
    bound = math.sqrt(6 / (pixels + width))
    return nn.Parameter(torch.empty(site.config.length, width, **site.factory_kwargs).uniform_(-bound, bound))
