"""Further keys and values inside the attention: Prefix Tuning and LLaMA-Adapter.

Prefix Tuning: Li and Liang 2021, https://arxiv.org/abs/2101.00190.
LLaMA-Adapter: Zhang et al. 2023, https://arxiv.org/abs/2303.16199.
"""

from typing import Any

import torch
from pydantic import AliasChoices, Field
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.peft.attention_injection import (
    InjectableAttention,
    kv_width,
    num_kv_heads,
    project_qkv,
    scaled_dot_product,
    token_width,
)
from studio.peft.contract import AttachmentSite, DefaultSites, Method, MethodConfig, register


class PrefixConfig(MethodConfig):
    """Fields of Prefix Tuning."""

    length: int = Field(10, ge=1, le=1024, description="m, how many keys and values each attention gets")
    std: float = Field(
        0.02,
        gt=0,
        le=10,
        description="spread of the random values that keys and values begin with",
        json_schema_extra={"only_if": {"reparameterize": False}},
    )
    reparameterize: bool = Field(
        False,
        validation_alias=AliasChoices("reparameterize", "reparametrise"),
        description="train a small network that makes the prefixes, which steadies training; dropped afterwards",
    )
    hidden: int = Field(
        512,
        ge=1,
        le=8192,
        description="width of that network's hidden layer",
        json_schema_extra={"only_if": {"reparameterize": True}},
    )


class PrefixAttention(InjectableAttention):
    """softmax(q [P_k; K]) [P_v; V]: ``keys`` P_k and ``values`` P_v, (length, width), without position or norm.

    Reparametrised, [P_k; P_v] = outer(tanh(inner(E))), where ``embedding`` E, (length, width), and ``inner`` serve all
    attentions of the same width.
    """

    def __init__(self, base: nn.Module, site: AttachmentSite[PrefixConfig]) -> None:
        super().__init__(base)
        self.width = kv_width(self.unwrapped)
        self.embedding: nn.Parameter | None = None
        self.inner: nn.Linear | None = None
        self.outer: nn.Linear | None = None
        self.keys: nn.Parameter | None = None
        self.values: nn.Parameter | None = None
        if site.config.reparameterize:
            self._build_mlp(site)
        else:
            shape = site.config.length, self.width
            self.keys = nn.Parameter(site.config.std * torch.randn(shape, **site.factory_kwargs))
            self.values = nn.Parameter(site.config.std * torch.randn(shape, **site.factory_kwargs))

    def _build_mlp(self, site: AttachmentSite[PrefixConfig]) -> None:
        key = f"width {self.width}"
        if key not in site.shared:
            embedding = nn.Parameter(torch.randn(site.config.length, self.width, **site.factory_kwargs))
            site.shared[key] = embedding, nn.Linear(self.width, site.config.hidden, **site.factory_kwargs)
        self.embedding, self.inner = site.shared[key]
        self.outer = nn.Linear(site.config.hidden, 2 * self.width, **site.factory_kwargs)

    def prefix_kv(self) -> tuple[Tensor, Tensor]:
        """P_k and P_v."""
        if self.inner is None or self.outer is None or self.embedding is None:
            assert self.keys is not None
            assert self.values is not None
            return self.keys, self.values
        keys, values = self.outer(torch.tanh(self.inner(self.embedding))).chunk(2, dim=-1)
        return keys, values

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The prefixes by heads, the same for every image."""
        heads = num_kv_heads(self.unwrapped)
        keys, values = (tensor.unflatten(-1, (heads, -1)).transpose(0, 1) for tensor in self.prefix_kv())
        return keys.expand(x.shape[0], -1, -1, -1), values.expand(x.shape[0], -1, -1, -1)

    def finalize(self) -> None:
        """Keep P_k and P_v and drop the network that made them."""
        if self.outer is not None:
            with torch.no_grad():
                self.keys, self.values = (nn.Parameter(tensor.clone()) for tensor in self.prefix_kv())
            self.embedding = self.inner = self.outer = None


@register
class PrefixTuning(Method[PrefixConfig]):
    """Prefix Tuning."""

    name = "prefix"
    label = "Prefix Tuning"
    family = "tokens"
    diagram = "prefix"
    summary = "Gives each attention some trained keys and values, which every token can look at."
    when_to_use = "Attentions that should look for something new, where a few tokens a layer are enough."
    paper = "Li and Liang 2021, https://arxiv.org/abs/2101.00190"
    Config = PrefixConfig
    not_mergeable_reason = (
        "Prefix Tuning adds keys and values to an attention, and no weight of the backbone can hold them: "
        "export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.ATTENTION,)),)
    identity_at_init = False
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: PrefixConfig, slices: tuple[str, ...]) -> str:
        """Attentions that the engine can open."""
        return _unsupported_reason(self.label, layer)

    def attach(self, site: AttachmentSite[PrefixConfig]) -> None:
        """Open the attention and put the prefixes before its keys and values."""
        site.replace(lambda base: PrefixAttention(base, site), innermost=True)

    def finalized_config(self, config: PrefixConfig) -> PrefixConfig:
        """Without the network that made the prefixes."""
        return config.model_copy(update={"reparameterize": False})

    def short_text(self, config: PrefixConfig) -> str:
        """The length."""
        return f"m{config.length}"


class LLaMAAdapterConfig(MethodConfig):
    """Fields of LLaMA-Adapter."""

    length: int = Field(10, ge=1, le=1024, description="K, how many prompts each attention gets")


class ZeroInitAttention(InjectableAttention):
    """attention(x) + tanh(gates) softmax(q K_p) V_p, the second softmax apart from the first.

    ``prompts`` P, (length, D), become keys and values through the attention's own projections; ``gates``, one a head,
    begin at zero, so nothing changes at first.
    """

    def __init__(self, base: nn.Module, site: AttachmentSite[LLaMAAdapterConfig]) -> None:
        super().__init__(base)
        plain: Any = self.unwrapped
        self.prompts = nn.Parameter(torch.randn(site.config.length, token_width(plain), **site.factory_kwargs))
        self.gates = nn.Parameter(torch.zeros(plain.num_heads, **site.factory_kwargs))

    def extra_output(self, query: Tensor) -> Tensor:
        """tanh(gates) softmax(q K_p) V_p, (batch, heads, N, head width)."""
        _, key, value = project_qkv(self.unwrapped, self.prompts.unsqueeze(0))
        key, value = (tensor.expand(query.shape[0], -1, -1, -1) for tensor in (key, value))
        return torch.tanh(self.gates).view(-1, 1, 1) * scaled_dot_product(self.unwrapped, query, key, value)


@register
class LLaMAAdapter(Method[LLaMAAdapterConfig]):
    """LLaMA-Adapter: zero-init attention with gating."""

    name = "llama_adapter"
    label = "LLaMA-Adapter"
    family = "tokens"
    diagram = "prefix"
    summary = "Lets each attention look at some trained prompts too, through a gate that begins closed."
    when_to_use = "As Prefix Tuning, where training must begin exactly at the pretrained network."
    paper = "Zhang et al. 2023, https://arxiv.org/abs/2303.16199"
    Config = LLaMAAdapterConfig
    not_mergeable_reason = (
        "LLaMA-Adapter adds a second attention over its prompts, and no weight of the backbone can hold it: "
        "export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.ATTENTION,)),)
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: LLaMAAdapterConfig, slices: tuple[str, ...]) -> str:
        """Attentions that the engine can open."""
        return _unsupported_reason(self.label, layer)

    def attach(self, site: AttachmentSite[LLaMAAdapterConfig]) -> None:
        """Open the attention and add the gated branch to its heads."""
        site.replace(lambda base: ZeroInitAttention(base, site), innermost=True)

    def short_text(self, config: LLaMAAdapterConfig) -> str:
        """The length."""
        return f"K{config.length}"


def _unsupported_reason(label: str, layer: Layer) -> str:
    if layer.role is Role.ATTENTION and layer.supports_kv_injection:
        return ""
    if layer.role is Role.ATTENTION:
        return f"{label} cannot add keys and values to this kind of attention ({layer.type})."
    return f"{label} needs an attention layer; {layer.type} is none."
