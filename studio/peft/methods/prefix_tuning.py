"""Prefix Tuning and LLaMA-Adapter: trained keys and values inside the attention.

Prefix Tuning: Li and Liang 2021, https://arxiv.org/abs/2101.00190.
LLaMA-Adapter: Zhang et al. 2023, https://arxiv.org/abs/2303.16199.
"""

from typing import Any

import torch
from pydantic import AliasChoices, Field
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.attention_injection import (
    InjectableAttention,
    kv_width,
    num_kv_heads,
    project_qkv,
    scaled_dot_product,
    token_width,
)
from studio.peft.contract import AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo


class PrefixConfig(MethodConfig):
    """Fields of Prefix Tuning."""

    length: int = Field(
        10, ge=1, le=1024, title=N_("Length"), description=N_("number m of trained keys and values in each attention")
    )
    std: float = Field(
        0.02,
        gt=0,
        le=10,
        title=N_("Initial spread"),
        description=N_("standard deviation of the initial keys and values"),
        json_schema_extra={"only_if": {"reparameterize": False}},
    )
    reparameterize: bool = Field(
        False,
        validation_alias=AliasChoices("reparameterize", "reparametrise"),
        title=N_("Reparameterize"),
        description=N_("train a small network that computes the prefixes, for stability; dropped after training"),
    )
    hidden: int = Field(
        512,
        ge=1,
        le=8192,
        title=N_("Hidden width"),
        description=N_("width of the hidden layer of that network"),
        json_schema_extra={"only_if": {"reparameterize": True}},
    )


class PrefixAttention(InjectableAttention):
    """softmax(q [P_k; K]) [P_v; V]: ``keys`` P_k and ``values`` P_v, (length, width), without position or norm.

    Reparameterized, [P_k; P_v] = outer(tanh(inner(E))); all attentions of the same width share ``embedding`` E,
    (length, width), and ``inner``.
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
        """Return P_k and P_v."""
        if self.inner is None or self.outer is None or self.embedding is None:
            assert self.keys is not None
            assert self.values is not None
            return self.keys, self.values
        keys, values = self.outer(torch.tanh(self.inner(self.embedding))).chunk(2, dim=-1)
        return keys, values

    def extra_kv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prefixes by heads, the same for every image."""
        heads = num_kv_heads(self.unwrapped)
        keys, values = (tensor.unflatten(-1, (heads, -1)).transpose(0, 1) for tensor in self.prefix_kv())
        return keys.expand(x.shape[0], -1, -1, -1), values.expand(x.shape[0], -1, -1, -1)

    def finalize(self) -> None:
        """Keep P_k and P_v and drop the network that computes them."""
        if self.outer is not None:
            with torch.no_grad():
                self.keys, self.values = (nn.Parameter(tensor.clone()) for tensor in self.prefix_kv())
            self.embedding = self.inner = self.outer = None


@register
class PrefixTuning(Method[PrefixConfig]):
    """Prefix Tuning."""

    name = "prefix"
    label = N_("Prefix Tuning")
    family = N_("tokens")
    summary = N_("Adds trained keys and values to each attention, which every token can attend to.")
    info = MethodInfo(
        badge="m{length}",
        diagram="prefix",
        when_to_use=N_("If the attention must select something new and a few tokens in each layer suffice."),
    )
    paper = "Li and Liang 2021, https://arxiv.org/abs/2101.00190"
    Config = PrefixConfig
    not_mergeable_reason = N_(
        "Prefix Tuning cannot be merged: no weight of the backbone can represent its keys and values. "
        "Export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.ATTENTION,)),)
    identity_at_init = False
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: PrefixConfig, slices: tuple[str, ...]) -> str:
        """Support attentions that keys and values can be injected into."""
        return _unsupported_reason(self.label, layer)

    def attach(self, site: AttachmentSite[PrefixConfig]) -> None:
        """Inject the prefixes before the keys and values of the attention."""
        site.replace(lambda base: PrefixAttention(base, site), innermost=True)

    def finalized_config(self, config: PrefixConfig) -> PrefixConfig:
        """Return the fields without the network that computes the prefixes."""
        return config.model_copy(update={"reparameterize": False})


class LLaMAAdapterConfig(MethodConfig):
    """Fields of LLaMA-Adapter."""

    length: int = Field(
        10, ge=1, le=1024, title=N_("Length"), description=N_("number K of trained prompts in each attention")
    )


class ZeroInitAttention(InjectableAttention):
    """attention(x) + tanh(gates) softmax(q K_p) V_p, with a separate softmax.

    The attention's own projections turn ``prompts`` P, (length, D), into keys and values. ``gates``, one for each
    head, are zero at first, so that the output is unchanged.
    """

    def __init__(self, base: nn.Module, site: AttachmentSite[LLaMAAdapterConfig]) -> None:
        super().__init__(base)
        plain: Any = self.unwrapped
        self.prompts = nn.Parameter(torch.randn(site.config.length, token_width(plain), **site.factory_kwargs))
        self.gates = nn.Parameter(torch.zeros(plain.num_heads, **site.factory_kwargs))

    def extra_output(self, query: Tensor) -> Tensor:
        """Return tanh(gates) softmax(q K_p) V_p, (batch, heads, N, head width)."""
        _, key, value = project_qkv(self.unwrapped, self.prompts.unsqueeze(0))
        key, value = (tensor.expand(query.shape[0], -1, -1, -1) for tensor in (key, value))
        return torch.tanh(self.gates).view(-1, 1, 1) * scaled_dot_product(self.unwrapped, query, key, value)


@register
class LLaMAAdapter(Method[LLaMAAdapterConfig]):
    """LLaMA-Adapter: zero-init attention with gating."""

    name = "llama_adapter"
    label = N_("LLaMA-Adapter")
    family = N_("tokens")
    summary = N_("Adds attention over trained prompts to each attention, with a gate that is zero at first.")
    info = MethodInfo(
        badge="K{length}",
        diagram="prefix",
        when_to_use=N_("Like Prefix Tuning, if training must start exactly at the pretrained network."),
    )
    paper = "Zhang et al. 2023, https://arxiv.org/abs/2303.16199"
    Config = LLaMAAdapterConfig
    not_mergeable_reason = N_(
        "LLaMA-Adapter cannot be merged: no weight of the backbone can represent its attention over prompts. "
        "Export it as adapter, onnx or torch."
    )
    default_sites = (DefaultSites((Role.ATTENTION,)),)
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: LLaMAAdapterConfig, slices: tuple[str, ...]) -> str:
        """Support attentions that keys and values can be injected into."""
        return _unsupported_reason(self.label, layer)

    def attach(self, site: AttachmentSite[LLaMAAdapterConfig]) -> None:
        """Inject the gated branch into the heads of the attention."""
        site.replace(lambda base: ZeroInitAttention(base, site), innermost=True)


def _unsupported_reason(label: str, layer: Layer) -> str:
    if layer.role is Role.ATTENTION and layer.supports_kv_injection:
        return ""
    if layer.role is Role.ATTENTION:
        return N_("{method} does not support this type of attention ({type}).", method=label, type=layer.type)
    return N_("{method} needs an attention layer; this is a {type}.", method=label, type=layer.type)
