"""AdapterFusion: several trained adapters at once, combined by an attention over their outputs.

Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247. The adapters are read from folders of the export format
``adapter`` and stay frozen. An exported fusion contains them and no longer needs the folders.
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
from studio.core.messages import N_
from studio.core.paths import resolve_path
from studio.core.recipe import Attachment
from studio.peft.adapter_file import MANIFEST_NAME, TENSORS_NAME, AdapterManifest, check_same_backbone, read_manifest
from studio.peft.contract import METHODS, AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo
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
        title=N_("Adapters"),
        description=N_("two or more folders of trained adapters in the export format adapter"),
        json_schema_extra={"folders": True},
    )
    mixing: MixingMode = Field(
        "full",
        title=N_("Mixing"),
        description=N_(
            "full: an attention with query, key and value, 3 D² weights in each layer; static: without value, 2 D²; "
            "gates: one number for each adapter and layer"
        ),
    )
    temperature: float = Field(
        1.0, ge=0.01, le=100, title=N_("Temperature"), description=N_("divisor T of the attention scores")
    )
    layouts: tuple[str, ...] = Field(
        (),
        max_length=16,
        title=N_("Layouts"),
        description=N_("descriptions of the adapters, set in an exported fusion; leave it empty"),
    )


class FusionLayer(nn.Module):
    """sum over i of a_i V u_i, with u_i the output of adapter i and a = softmax over i of (Q h) · (K u_i) / T.

    ``fused`` are the n trained adapters, frozen. V is initialized to the identity. With gates, a is the softmax of n
    numbers, and there are no Q, K and V.
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
        """Return the addition to ``output`` h (N, ..., D), from the adapters' input x (N, ..., D)."""
        outputs = torch.stack([adapter(x, output) for adapter in self.fused], dim=-2)
        weights = self.attention_weights(outputs, output).unsqueeze(-1)
        values = self.value(outputs) if hasattr(self, "value") else outputs
        return (weights * values).sum(-2)

    def attention_weights(self, adapter_outputs: Tensor, output: Tensor) -> Tensor:
        """Return a, (N, ..., n), from u (N, ..., n, D) and h (N, ..., D)."""
        if hasattr(self, "gates"):
            return self.gates.div(self.temperature).softmax(-1).expand(adapter_outputs.shape[:-1])
        scores = (self.query(output).unsqueeze(-2) * self.key(adapter_outputs)).sum(-1)
        return scores.div(self.temperature).softmax(-1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the fused adapters stay in evaluation mode."""
        super().train(mode)
        self.fused.eval()
        return self


@register
class AdapterFusion(Method[FusionConfig]):
    """Trained adapters in parallel, combined by an attention for each token."""

    name = "fusion"
    label = N_("AdapterFusion")
    family = N_("composition")
    summary = N_("Combines adapters of other tasks by a trained attention. Large: a quarter of the weights of a ViT-B.")
    info = MethodInfo(
        diagram="mix",
        when_to_use=N_("Several trained adapters of related tasks, and few images of the new one."),
    )
    paper = "Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247"
    Config = FusionConfig
    not_mergeable_reason = AdapterMethod.not_mergeable_reason
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)), DefaultSites((Role.BLOCK,)))
    identity_at_init = False
    learning_rate = 5e-5

    def unsupported_reason(self, layer: Layer, config: FusionConfig, slices: tuple[str, ...]) -> str:
        """Support layers at which every adapter was trained, all of them with the same input and insertion point.

        Without adapters, support every layer that could have one, so that there is a form to choose them in.
        """
        if slices:
            return N_(
                "{method} adapts the whole output of a layer, so it cannot take q, k or v slices.", method=self.label
            )
        if not config.layouts and not config.adapters:
            return _unsupported_role_reason(layer)
        try:
            points = {_insertion_point(attachment) for attachment in _attachments(config, layer)}
        except StudioError as error:
            return error.message
        if len(points) < 2:
            return ""
        return N_("The adapters have different insertion points in this layer, so they cannot be fused.")

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """Return the field that only an exported fusion has."""
        return frozenset({"layouts"})

    def attach(self, site: AttachmentSite[FusionConfig]) -> None:
        """Build the adapters and the fusion of their outputs, and load their values."""
        if len(site.config.layouts or site.config.adapters) < 2:
            raise StudioError(
                "bad-value", "Cannot attach AdapterFusion: it needs at least two adapters. Add folders to adapters."
            )
        attachments = _attachments(site.config, site.layer)
        fused = [_build_adapter(site, number, attachment) for number, attachment in enumerate(attachments)]
        fusion = FusionLayer(fused, site.layer.width, site.config, site.factory_kwargs)
        found = insert_adapter(site, fusion, *_insertion_point(attachments[0]))
        if site.factory_kwargs["device"].type != "meta":
            for number, attachment in enumerate(attachments):
                _load_weights(site, number, fused[number], f"{attachment.name}/{found.end}/adapter")

    def finalized_config(self, config: FusionConfig) -> FusionConfig:
        """Return the fields with the layouts of the adapters instead of their folders."""
        layouts = tuple(d.model_dump_json(exclude={"metadata"}) for d in _manifests(config))
        return config.model_copy(update={"adapters": (), "layouts": layouts})


def _manifests(config: FusionConfig) -> tuple[AdapterManifest, ...]:
    """Return the manifests of the adapters; StudioError if a folder or a layout cannot be read."""
    if config.layouts:
        return tuple(_parse_layout(text) for text in config.layouts)
    return tuple(_read_folder(folder) for folder in config.adapters)


@lru_cache(maxsize=64)
def _parse_layout(text: str) -> AdapterManifest:
    try:
        return AdapterManifest.model_validate_json(text)
    except ValidationError as error:
        raise StudioError(
            "bad-value",
            "{method}: layouts is not that of an exported fusion. Leave it empty.",
            method=AdapterFusion.label,
        ) from error


def _read_folder(folder: str) -> AdapterManifest:
    path = resolve_path(folder)
    try:
        changed = (path / MANIFEST_NAME).stat().st_mtime_ns
    except OSError as error:
        raise StudioError(
            "unreadable-file",
            "{folder} is not an adapter: {file} cannot be read. Choose the folder of an exported adapter.",
            folder=path,
            file=MANIFEST_NAME,
        ) from error
    return _read_cached(path, changed)


def _unsupported_role_reason(layer: Layer) -> str:
    """Return why no adapter can be fused at ``layer``; empty if one can."""
    if layer.role not in _ROLES:
        return N_(
            "{method} needs {roles}; this is a {type}.",
            method=AdapterFusion.label,
            roles=N_("blocks, attention and MLP layers"),
            type=layer.type,
        )
    return unsupported_width_reason(layer)


@lru_cache(maxsize=64)
def _read_cached(path: Path, modified_ns: int) -> AdapterManifest:
    return read_manifest(path)


def _attachments(config: FusionConfig, layer: Layer) -> list[Attachment]:
    """Return the attachment of each adapter at ``layer``; StudioError unless each has exactly one."""
    return [_attachment(number, d, layer) for number, d in enumerate(_manifests(config), start=1)]


def _attachment(number: int, manifest: AdapterManifest, layer: Layer) -> Attachment:
    found = []
    for attachment in manifest.attachments:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
        if not isinstance(method, AdapterMethod) or method.trains_norms(config):
            extra = N_("trained norms") if isinstance(method, AdapterMethod) else method.label
            raise StudioError(
                "cannot-fuse",
                "Adapter {number} cannot be fused: it has {extra} besides its added networks. Choose another adapter.",
                number=number,
                extra=extra,
            )
        if match_layers(attachment.at, [layer]) and not unsupported_reason(method, layer, config, attachment.slices):
            found.append(attachment)
    if not found:
        raise StudioError(
            "cannot-fuse", "Adapter {number} cannot be fused here: it has nothing at this layer.", number=number
        )
    if len(found) > 1:
        raise StudioError(
            "cannot-fuse",
            "Adapter {number} cannot be fused here: it has more than one network at this layer.",
            number=number,
        )
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
    """Load the trained values of an adapter; fill in NaN if they come later, from the fusion's own file."""
    tensors = None if site.config.layouts else _adapter_tensors(site, number)
    for name, parameter in adapter.named_parameters():
        if tensors is None:
            parameter.fill_(float("nan"))
        else:
            parameter.copy_(_find_tensor(tensors, prefix, name, parameter.shape))


def _adapter_tensors(site: AttachmentSite[FusionConfig], number: int) -> dict[str, Tensor]:
    """Return the tensors of an adapter, read once; StudioError if it belongs to another backbone."""
    key = f"tensors of {number}"
    if key not in site.shared:
        folder = resolve_path(site.config.adapters[number])
        if "identity" not in site.shared:
            site.shared["identity"] = site.backbone_identity()
        check_same_backbone(read_manifest(folder), site.shared["identity"], folder)
        site.shared[key] = load_tensors(folder / TENSORS_NAME)
    return site.shared[key]


def _find_tensor(tensors: dict[str, Tensor], prefix: str, name: str, shape: torch.Size) -> Tensor:
    """Return one tensor; one that all layers share is stored at the first layer only."""
    attachment = prefix.partition("/")[0]
    elsewhere = (t for n, t in tensors.items() if n.startswith(f"{attachment}/") and n.endswith(f"/adapter.{name}"))
    found = tensors.get(f"{prefix}.{name}", next(elsewhere, None))
    if found is None or found.shape != shape:
        raise StudioError(
            "adapter-mismatch",
            "Cannot fuse an adapter: {tensor} is missing or has another shape. Export the adapter again.",
            tensor=f"{prefix}.{name}",
        )
    return found
