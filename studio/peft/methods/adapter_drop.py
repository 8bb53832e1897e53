"""AdapterDrop: skip the adapters in the first blocks, to save time.

Rueckle et al. 2021, https://arxiv.org/abs/2010.11918. A fixed range only needs patterns: ``blocks.{5..11}.mlp``
attaches to the blocks 5 to 11. This method is the paper's robust AdapterDrop, for all other attachments of the recipe:
each training batch skips the adapters in the first k blocks with a random k, and any k can be chosen afterwards.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import torch
from pydantic import Field
from torch import nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, AttachmentSite, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo


class AdapterDropConfig(MethodConfig):
    """Fields of AdapterDrop."""

    train_most: int = Field(
        11,
        ge=0,
        le=1000,
        title=N_("Maximum in training"),
        description=N_("each training batch skips the adapters of the first k blocks, k random from 0 to this value"),
    )
    skip: int = Field(
        0,
        ge=0,
        le=1000,
        title=N_("Skip at inference"),
        description=N_("number of first blocks whose adapters are skipped after training; 0 skips none"),
    )


class RandomDepth(AdaptedLayer):
    """The first layer of the backbone, which draws how many first blocks skip their adapters in each pass."""

    may_skip_steps = True
    not_scalable_reason = N_("AdapterDrop adds no output of its own, so it has no strength; set that of the others.")

    def __init__(self, base: nn.Module, site: AttachmentSite[AdapterDropConfig], num_blocks: int) -> None:
        super().__init__(base)
        self.max_skipped = min(site.config.train_most, num_blocks - 1)
        self.skip = site.config.skip
        self.skip_first_blocks = partial(site.adapted_model.skip_first_blocks, site.attachment)
        self.generator: torch.Generator | None = None

    def draw_depths_from(self, generator: torch.Generator) -> None:
        """Draw from ``generator`` instead of torch's global random numbers."""
        self.generator = generator

    def forward_adapted(self, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's own output; in training, draw a depth first."""
        if self.training:
            self.skip_first_blocks(int(torch.randint(self.max_skipped + 1, (), generator=self.generator)))
        return self.base_layer(*args, **kwargs)

    forward_scaled = forward_adapted

    def train(self, mode: bool = True) -> Self:
        """Skip nothing at first in training, and the first ``skip`` blocks in evaluation."""
        super().train(mode)
        if self.enabled:
            self.skip_first_blocks(0 if mode else self.skip)
        return self

    def set_enabled(self, enabled: bool) -> None:
        """Skip nothing while disabled; in training the next pass draws a depth."""
        super().set_enabled(enabled)
        if not (enabled and self.training):
            self.skip_first_blocks(self.skip if enabled else 0)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Return the layer unchanged; skipped adapters are not merged."""
        return base


@register
class AdapterDrop(Method[AdapterDropConfig]):
    """A random number of first blocks without adapters."""

    name = "adapter_drop"
    label = N_("AdapterDrop")
    family = N_("composition")
    summary = N_("Trains the other attachments so that those in the first blocks can be skipped at inference.")
    info = MethodInfo(badge="k{skip}", when_to_use=N_("With other attachments, if inference must be faster."))
    paper = "Rueckle et al. 2021, https://arxiv.org/abs/2010.11918"
    Config = AdapterDropConfig
    default_sites = ()

    def unsupported_reason(self, layer: Layer, config: AdapterDropConfig, slices: tuple[str, ...]) -> str:
        """Support the backbone as a whole."""
        if layer.role is not Role.BACKBONE:
            return N_(
                "AdapterDrop needs the backbone as a whole; for a fixed range use a pattern such as blocks.{5..11}."
            )
        return N_("AdapterDrop skips whole blocks, so it cannot take q, k or v slices.") if slices else ""

    def max_values(self, sites: Sequence[Layer], slices: tuple[str, ...], layers: Sequence[Layer]) -> dict[str, int]:
        """Return the number of blocks without the last, which is never skipped."""
        largest = max(_num_blocks(layers) - 1, 0)
        return {"train_most": largest, "skip": largest}

    def attach(self, site: AttachmentSite[AdapterDropConfig]) -> None:
        """Replace the first layer that an image passes through."""
        blocks = max(_num_blocks(site.layers), 1)
        site.replace(lambda base: RandomDepth(base, site, blocks), _first_layer(site.layers))


def _num_blocks(layers: Sequence[Layer]) -> int:
    return len({row.block for row in layers} - {None})


def _first_layer(layers: tuple[Layer, ...]) -> str:
    """Return the path of the patch embedding, or else of the first layer outside of blocks with own parameters."""
    called = [row for row in layers if not row.bypass_reason]
    embedding = (row for row in called if row.role is Role.PATCH_EMBEDDING)
    leading = (row for row in called[1:] if row.block is None and row.own_parameters and row.kind)
    return next(embedding, next(leading, called[-1])).path
