"""PiSSA: LoRA that begins at the principal singular vectors of the weight rather than at zero.

Meng et al. 2024, https://arxiv.org/abs/2404.02948. W = W_res + s B0 A0, with A0 and B0 from the largest singular
values; A and B begin there and W_res stays. The backbone's weight is not touched: W_res x + s B A x is computed as
W x + s (B A - B0 A0) x = W x + s (B - B0) A x + s B0 (A - A0) x, a low-rank update of rank 2r that is zero at first,
and that is what is merged and exported.
"""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from studio.core.layers import Layer
from studio.peft.contract import register
from studio.peft.methods.lora import LoRAConv2d, LoRALinear, LowRankConfig, LowRankLayer, LowRankMethod, max_rank

_OVERSAMPLING = 8
"""Directions beyond the rank that the approximation looks at, as without them it misses some."""


class PiSSAConfig(LowRankConfig):
    """Fields of PiSSA."""

    iterations: int = Field(
        0, ge=0, le=64, description="0 decomposes exactly; 4 or so approximates, which is faster on large layers"
    )


class _PiSSAMixin(LowRankLayer):
    """What linear layers and convolutions have in common: ``first_A`` and ``first_B``, where A and B began."""

    first_A: Tensor
    first_B: Tensor

    def _reset_parameters(self, config: PiSSAConfig) -> None:
        if self.lora_A.device.type != "meta":
            self._decompose(config.iterations)
        self.register_buffer("first_A", self.lora_A.detach().clone())
        self.register_buffer("first_B", self.lora_B.detach().clone())

    @torch.no_grad()
    def _decompose(self, iterations: int) -> None:
        """Fill A and B from the weight: each range of rows by itself, as it has an A and a B of its own."""
        weight = cast(Tensor, self.unwrapped.weight).flatten(1)
        rows = self.rows or [(0, self.out_features)]
        pairs = [principal_factors(weight[start:stop], self.rank, self.scale, iterations) for start, stop in rows]
        self.lora_A.copy_(torch.cat([a for a, _ in pairs]).view_as(self.lora_A))
        self.lora_B.copy_(torch.cat([b for _, b in pairs]).view_as(self.lora_B))

    def lora_factors(self) -> tuple[Tensor, Tensor]:
        """[A; A - A0] and [B - B0, B0]: zero at first, exactly, and no difference of large products later."""
        a = torch.cat([self.lora_A, self.lora_A - self.first_A])
        moved = self.expand_rows(self.lora_B - self.first_B)
        return a, torch.cat([moved, self.expand_rows(self.first_B)], dim=1)


def principal_factors(weight: Tensor, rank: int, scale: float, iterations: int) -> tuple[Tensor, Tensor]:
    """A (rank, in) and B (out, rank) so that scale B A is the best of that rank for ``weight`` (out, in)."""
    if iterations:
        more = min(rank + _OVERSAMPLING, *weight.shape)
        u, s, v = torch.svd_lowrank(weight.float(), q=more, niter=iterations)
        vh = v.mT
    else:
        u, s, vh = torch.linalg.svd(weight.float(), full_matrices=False)
    root = (s[:rank] / scale).sqrt()
    return root.unsqueeze(1) * vh[:rank], u[:, :rank] * root


class PiSSALinear(_PiSSAMixin, LoRALinear):
    """PiSSA on a linear layer or on some of the q, k, v rows of a fused one; tensors as of :class:`LoRALinear`."""


class PiSSAConv2d(_PiSSAMixin, LoRAConv2d):
    """PiSSA on a convolution, whose kernels are the rows of a matrix; tensors as of :class:`LoRAConv2d`."""


@register
class PiSSA(LowRankMethod[PiSSAConfig]):
    """Principal Singular values and Singular vectors Adaptation."""

    name = "pissa"
    label = "PiSSA"
    summary = "LoRA that begins at the strongest directions of the weight and so learns faster. Merges like LoRA."
    when_to_use = "As LoRA, where training should get going sooner."
    paper = "Meng et al. 2024, https://arxiv.org/abs/2404.02948"
    Config = PiSSAConfig
    linear = PiSSALinear
    conv2d = PiSSAConv2d
    learning_rate = 1e-3

    def unsupported_reason(self, layer: Layer, config: PiSSAConfig, slices: tuple[str, ...]) -> str:
        """As LoRA, but for grouped convolutions and ranks beyond what the weight has."""
        reason = super().unsupported_reason(layer, config, slices)
        if reason:
            return reason
        if layer.groups > 1:
            return "PiSSA decomposes a weight as one matrix, and a grouped convolution has several."
        limit = max_rank(layer, slices)
        return f"This weight has a rank of {limit} at most, so choose a rank up to that." if config.rank > limit else ""
