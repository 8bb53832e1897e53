"""AdapterFusion: several trained adapters at once, with an attention over what they give.

Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247. The adapters are read from folders that the export ``adapter``
writes, and stay as they are. An exported fusion carries them with it and needs the folders no longer.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.paths import resolve_path
from studio.core.recipe import Attachment
from studio.peft.adapter_file import MANIFEST_NAME, TENSORS_NAME, AdapterManifest, read_manifest
from studio.peft.contract import METHODS, AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.residual_adapter import (
    AdapterConfig,
    AdapterMethod,
    InputSource,
    insert_adapter,
    unsupported_width_reason,
)
from studio.peft.targets import match_layers, unsupported_reason

_ROLES = (Role.ATTENTION, Role.MLP, Role.BLOCK)

MixingMode = Literal["full", "static", "gates"]


class FusionConfig(MethodConfig):
    """Fields of AdapterFusion."""

    adapters: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="two or more folders of trained adapters, as the export adapter writes them",
        json_schema_extra={"folders": True},
    )
    mixing: MixingMode = Field(
        "full",
        description="full: an attention with query, key and value, 3 D² weights a layer; static: without the value, "
        "2 D²; gates: one number for each adapter and layer",
    )
    temperature: float = Field(1.0, ge=0.01, le=100, description="T, which the attention's scores are divided by")
    layouts: tuple[str, ...] = Field(
        (), max_length=16, description="how the adapters are built; an exported fusion says it, so leave it empty"
    )


class FusionLayer(nn.Module):
    """sum over i of a_i V u_i, with u_i what adapter i gives and a = softmax over i of (Q h) · (K u_i) / T.

    ``fused`` are the n trained adapters, frozen. V begins as the identity. With gates, a = softmax of n numbers, and
    neither Q, K nor V.
    """

    def __init__(
        self, fused: list[nn.Module], width: int, config: FusionConfig, factory_kwargs: dict[str, Any]
    ) -> None:
        super().__init__()
        self.fused = nn.ModuleList(fused).requires_grad_(False)
        self.temperature = config.temperature
        if config.mixing == "gates":
            self.gates = nn.Parameter(torch.zeros(len(fused), **factory_kwargs))
            return
        self.query, self.key = nn.Linear(width, width, **factory_kwargs), nn.Linear(width, width, **factory_kwargs)
        for layer in (self.query, self.key):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        if config.mixing == "full":
            self.value = nn.Linear(width, width, bias=False, **factory_kwargs)
            self.value.weight = nn.Parameter(torch.eye(width, **factory_kwargs) * (1 - 1e-6) + 1e-6)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """What is added to ``output`` h (N, ..., D), from what the adapters read, x (N, ..., D)."""
        given = torch.stack([adapter(x, output) for adapter in self.fused], dim=-2)
        weights = self.attention_weights(given, output).unsqueeze(-1)
        values = self.value(given) if hasattr(self, "value") else given
        return (weights * values).sum(-2)

    def attention_weights(self, given: Tensor, output: Tensor) -> Tensor:
        """a, (N, ..., n), from u (N, ..., n, D) and h (N, ..., D)."""
        if hasattr(self, "gates"):
            return self.gates.div(self.temperature).softmax(-1).expand(given.shape[:-1])
        scores = (self.query(output).unsqueeze(-2) * self.key(given)).sum(-1)
        return scores.div(self.temperature).softmax(-1)

    def train(self, mode: bool = True) -> Self:
        """The fused adapters stay in evaluation mode."""
        super().train(mode)
        self.fused.eval()
        return self


@register
class AdapterFusion(Method[FusionConfig]):
    """Trained adapters side by side, and an attention that chooses among them for each token."""

    name = "fusion"
    label = "AdapterFusion"
    family = "composition"
    summary = (
        "Combines adapters trained on other tasks and learns which to listen to. Weighs much: a quarter of a ViT-B."
    )
    when_to_use = "Several trained adapters of related tasks, and few images of the new one."
    paper = "Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247"
    Config = FusionConfig
    not_mergeable_reason = AdapterMethod.not_mergeable_reason
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)), DefaultSites((Role.BLOCK,)))
    identity_at_init = False
    learning_rate = 5e-5

    def unsupported_reason(self, layer: Layer, config: FusionConfig, slices: tuple[str, ...]) -> str:
        """Layers at which each of the adapters has been trained, all of them placed alike.

        Before any adapter is named, all where one could be: only then is there a form to name them in.
        """
        if slices:
            return "AdapterFusion takes what the layer gives as a whole, so it cannot take only some of q, k and v."
        if not config.layouts and not config.adapters:
            return _unsupported_role_reason(layer)
        try:
            placed = {_insertion_point(attachment) for attachment in _attachments(config, layer)}
        except StudioError as error:
            return str(error)
        return "" if len(placed) < 2 else "The adapters read or add in different places here, so they cannot be fused."

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """What an exported fusion says of itself."""
        return frozenset({"layouts"})

    def attach(self, site: AttachmentSite[FusionConfig]) -> None:
        """Build the adapters, mix what they give, and fill in their values."""
        if len(site.config.layouts or site.config.adapters) < 2:
            raise StudioError("Name at least two folders of trained adapters in the field adapters.")
        attachments = _attachments(site.config, site.layer)
        fused = [_build_adapter(site, number, attachment) for number, attachment in enumerate(attachments)]
        mixture = FusionLayer(fused, site.layer.width, site.config, site.factory_kwargs)
        found = insert_adapter(site, mixture, *_insertion_point(attachments[0]))
        if site.factory_kwargs["device"].type != "meta":
            for number, attachment in enumerate(attachments):
                _load_weights(site, number, fused[number], f"{attachment.name}/{found.end}/adapter")

    def finalized_config(self, config: FusionConfig) -> FusionConfig:
        """How the adapters are built instead of where they are."""
        layouts = tuple(d.model_dump_json(exclude={"metadata"}) for d in _manifests(config))
        return config.model_copy(update={"adapters": (), "layouts": layouts})


def _manifests(config: FusionConfig) -> tuple[AdapterManifest, ...]:
    """What the adapters are; StudioError where a folder or a layout cannot be read."""
    if config.layouts:
        return tuple(_parse_layout(text) for text in config.layouts)
    return tuple(_read_folder(folder) for folder in config.adapters)


@lru_cache(maxsize=64)
def _parse_layout(text: str) -> AdapterManifest:
    try:
        return AdapterManifest.model_validate_json(text)
    except ValidationError as error:
        raise StudioError("AdapterFusion: layouts is not what an exported fusion says; leave it empty.") from error


def _read_folder(folder: str) -> AdapterManifest:
    path = resolve_path(folder)
    try:
        changed = (path / MANIFEST_NAME).stat().st_mtime_ns
    except OSError as error:
        raise StudioError(f"There is no trained adapter in {path} to fuse: {MANIFEST_NAME} is missing.") from error
    return _read_cached(path, changed)


def _unsupported_role_reason(layer: Layer) -> str:
    """Why no adapter that could be fused stands at ``layer``; empty where one may."""
    if layer.role not in _ROLES:
        return f"AdapterFusion goes to attention and MLP layers and to blocks, and this is a {layer.type}."
    return unsupported_width_reason(layer)


@lru_cache(maxsize=64)
def _read_cached(path: Path, modified_ns: int) -> AdapterManifest:
    return read_manifest(path)


def _attachments(config: FusionConfig, layer: Layer) -> list[Attachment]:
    """The attachment of each adapter that stands at ``layer``; StudioError where one has none, or more than one."""
    return [_attachment(number, d, layer) for number, d in enumerate(_manifests(config), start=1)]


def _attachment(number: int, manifest: AdapterManifest, layer: Layer) -> Attachment:
    found = []
    for attachment in manifest.attachments:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
        if not isinstance(method, AdapterMethod) or method.trains_norms(config):
            extra = "trained norms" if isinstance(method, AdapterMethod) else method.label
            raise StudioError(f"Adapter {number} cannot be fused: it has {extra}, which is more than an added network.")
        if match_layers(attachment.at, [layer]) and not unsupported_reason(method, layer, config, attachment.slices):
            found.append(attachment)
    if len(found) != 1:
        count = "more than one network" if found else "nothing"
        raise StudioError(f"Adapter {number} cannot be fused here: it has {count} at this layer.")
    return found[0]


def _insertion_point(attachment: Attachment) -> tuple[InputSource, str]:
    method, config = _method(attachment)
    return method.input_source(config), config.layer_scale


def _method(attachment: Attachment) -> tuple[AdapterMethod[Any], AdapterConfig]:
    method = METHODS.get(attachment.method)
    assert isinstance(method, AdapterMethod)
    return method, method.configure(attachment.config)


def _build_adapter(site: AttachmentSite[FusionConfig], number: int, attachment: Attachment) -> nn.Module:
    method, config = _method(attachment)
    return method.build_adapter(
        site.layer.width, config, site.factory_kwargs, site.shared.setdefault(f"shared by {number}", {})
    )


@torch.no_grad()
def _load_weights(site: AttachmentSite[FusionConfig], number: int, adapter: nn.Module, prefix: str) -> None:
    """Give the adapter its trained values; not a number where they are still to come, from the fusion's own file."""
    tensors = None if site.config.layouts else _adapter_tensors(site, number)
    for name, parameter in adapter.named_parameters():
        if tensors is None:
            parameter.fill_(float("nan"))
        else:
            parameter.copy_(_find_tensor(tensors, prefix, name, parameter.shape))


def _adapter_tensors(site: AttachmentSite[FusionConfig], number: int) -> dict[str, Tensor]:
    """The tensors of an adapter, read once; StudioError where it was trained on another backbone."""
    key = f"tensors of {number}"
    if key not in site.shared:
        folder = resolve_path(site.config.adapters[number])
        if "identity" not in site.shared:
            site.shared["identity"] = site.backbone_identity()
        if read_manifest(folder).backbone_identity != site.shared["identity"]:
            raise StudioError(f"The adapter in {folder} was made for another backbone: the weights differ.")
        site.shared[key] = load_tensors(folder / TENSORS_NAME)
    return site.shared[key]


def _find_tensor(tensors: dict[str, Tensor], prefix: str, name: str, shape: torch.Size) -> Tensor:
    """One tensor; one that all layers share is stored at the first of them only."""
    attachment = prefix.partition("/")[0]
    elsewhere = (t for n, t in tensors.items() if n.startswith(f"{attachment}/") and n.endswith(f"/adapter.{name}"))
    found = tensors.get(f"{prefix}.{name}", next(elsewhere, None))
    if found is None or found.shape != shape:
        raise StudioError(f"An adapter to fuse lacks {prefix}.{name} or has it in another shape.")
    return found
