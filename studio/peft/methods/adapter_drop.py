"""AdapterDrop: adapters in the last blocks alone, or however many of them a moment allows.

Rueckle et al. 2021, https://arxiv.org/abs/2010.11918. A fixed range is a matter of patterns: ``blocks.{5..11}.mlp``
attaches to the blocks from 5 to 11. The method here is the robust kind, over everything else in the recipe: each
training batch leaves out the first k blocks, with k drawn anew, and afterwards any k can be chosen.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from pydantic import Field
from torch import nn

from studio.core.layers import Layer, Role
from studio.peft.contract import AdaptedLayer, AttachmentSite, Method, MethodConfig, register


class AdapterDropConfig(MethodConfig):
    """Fields of AdapterDrop."""

    train_most: int = Field(
        11, ge=0, le=1000, description="each training batch leaves out the first k blocks, k drawn from 0 to this"
    )
    skip: int = Field(0, ge=0, le=1000, description="after training, the first k blocks are left out: k")


class RandomDepth(AdaptedLayer):
    """Stands at the first layer of the backbone, and before each pass says how many of the first blocks rest."""

    may_skip_steps = True
    not_scalable_reason = "AdapterDrop adds nothing of its own, so it has no strength; give one to the others."

    def __init__(
        self, base: nn.Module, config: AdapterDropConfig, num_blocks: int, skip_first_blocks: Callable[[int], None]
    ) -> None:
        super().__init__(base)
        self.max_skipped = min(config.train_most, num_blocks - 1)
        self.skip = config.skip
        self.skip_first_blocks = skip_first_blocks
        self.sample: Callable[[int], int] = _sample_depth

    def forward_adapted(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's own output; in training after drawing a depth."""
        if self.training:
            self.skip_first_blocks(self.sample(self.max_skipped + 1))
        return self.base_layer(*args, **kwargs)

    forward_scaled = forward_adapted

    def train(self, mode: bool = True) -> Self:
        """Nothing rests at first in training; in evaluation what ``skip`` says."""
        super().train(mode)
        if self.enabled:
            self.skip_first_blocks(0 if mode else self.skip)
        return self

    def set_enabled(self, enabled: bool) -> None:
        """Switched off, it lets nothing rest; in training the next pass draws a depth."""
        super().set_enabled(enabled)
        if not (enabled and self.training):
            self.skip_first_blocks(self.skip if enabled else 0)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """The layer; what rests is not merged."""
        return base


def _sample_depth(upper: int) -> int:
    """A number from 0 to below ``below`` out of torch's global random numbers."""
    return int(torch.randint(upper, ()))


@register
class AdapterDrop(Method[AdapterDropConfig]):
    """A random depth for everything else in the recipe."""

    name = "adapter_drop"
    label = "AdapterDrop"
    family = "composition"
    summary = "Trains the other attachments so that those in the first blocks can be left out afterwards, to save time."
    when_to_use = "Beside other attachments, where answers must come faster later on."
    paper = "Rueckle et al. 2021, https://arxiv.org/abs/2010.11918"
    Config = AdapterDropConfig
    default_sites = ()

    def unsupported_reason(self, layer: Layer, config: AdapterDropConfig, slices: tuple[str, ...]) -> str:
        """The backbone as a whole."""
        if layer.role is not Role.BACKBONE:
            return (
                "AdapterDrop is for the backbone as a whole; for a fixed range give a pattern such as blocks.{5..11}."
            )
        return "AdapterDrop works on blocks as a whole, so it cannot take only some of q, k and v." if slices else ""

    def max_values(self, sites: Sequence[Layer], slices: tuple[str, ...], layers: Sequence[Layer]) -> dict[str, int]:
        """The last block always works."""
        most = max(_num_blocks(layers) - 1, 0)
        return {"train_most": most, "skip": most}

    def attach(self, site: AttachmentSite[AdapterDropConfig]) -> None:
        """Take the place of the layer that sees an image first."""
        blocks = max(_num_blocks(site.layers), 1)
        site.replace(
            lambda base: RandomDepth(base, site.config, blocks, site.skip_first_blocks), _first_layer(site.layers)
        )

    def short_text(self, config: AdapterDropConfig) -> str:
        """How many blocks are left out after training."""
        return f"k{config.skip}"


def _num_blocks(layers: Sequence[Layer]) -> int:
    return len({row.block for row in layers} - {None})


def _first_layer(layers: tuple[Layer, ...]) -> str:
    """The patch embedding, or else the first layer in no block that has parameters of its own."""
    called = [row for row in layers if not row.bypass_reason]
    embedding = (row for row in called if row.role is Role.PATCH_EMBEDDING)
    leading = (row for row in called[1:] if row.block is None and row.own_parameters and row.kind)
    return next(embedding, next(leading, called[-1])).path
