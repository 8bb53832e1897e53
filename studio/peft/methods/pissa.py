"""PiSSA: LoRA that is initialized with the principal singular vectors of the weight instead of zero.

Meng et al. 2024, https://arxiv.org/abs/2404.02948. W = W_res + s B0 A0, with A0 and B0 from the largest singular
values; A and B start there and W_res stays frozen. The backbone's weight is not changed: W_res x + s B A x is computed
as W x + s (B A - B0 A0) x = W x + s (B - B0) A x + s B0 (A - A0) x, a low-rank update of rank 2r that is zero at first
and that is merged and exported.
"""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from studio.core.layers import Layer
from studio.core.messages import N_
from studio.peft.contract import register
from studio.peft.method_info import MethodInfo
from studio.peft.methods.lora import LoRAConv2d, LoRALinear, LowRankConfig, LowRankLayer, LowRankMethod, max_rank

_OVERSAMPLING = 8
"""Extra directions of the randomized SVD, without which it misses some of the principal ones."""


class PiSSAConfig(LowRankConfig):
    """Fields of PiSSA."""

    iterations: int = Field(
        0,
        ge=0,
        le=64,
        title=N_("SVD iterations"),
        description=N_("iterations of the randomized SVD, such as 4, faster on large layers; 0 for the exact SVD"),
    )


class _PiSSAMixin(LowRankLayer):
    """``first_A`` and ``first_B``, the initial A and B, for linear layers and convolutions."""

    first_A: Tensor
    first_B: Tensor

    def _reset_parameters(self, config: PiSSAConfig) -> None:
        if self.lora_A.device.type != "meta":
            self._decompose(config.iterations)
        self.register_buffer("first_A", self.lora_A.detach().clone())
        self.register_buffer("first_B", self.lora_B.detach().clone())

    @torch.no_grad()
    def _decompose(self, iterations: int) -> None:
        """Fill A and B from the weight, separately for each range of rows, which has its own A and B."""
        weight = cast(Tensor, self.unwrapped.weight).flatten(1)
        rows = self.rows or [(0, self.out_features)]
        pairs = [principal_factors(weight[start:stop], self.rank, self.scale, iterations) for start, stop in rows]
        self.lora_A.copy_(torch.cat([a for a, _ in pairs]).view_as(self.lora_A))
        self.lora_B.copy_(torch.cat([b for _, b in pairs]).view_as(self.lora_B))

    def lora_factors(self) -> tuple[Tensor, Tensor]:
        """Return [A; A - A0] and [B - B0, B0]: their product is exactly zero at first, and cancels no large terms."""
        a = torch.cat([self.lora_A, self.lora_A - self.first_A])
        moved = self.expand_rows(self.lora_B - self.first_B)
        return a, torch.cat([moved, self.expand_rows(self.first_B)], dim=1)


def principal_factors(weight: Tensor, rank: int, scale: float, iterations: int) -> tuple[Tensor, Tensor]:
    """Return A (rank, in) and B (out, rank) whose scale B A is the best approximation of ``weight`` (out, in)."""
    if iterations:
        more = min(rank + _OVERSAMPLING, *weight.shape)
        u, s, v = torch.svd_lowrank(weight.float(), q=more, niter=iterations)
        vh = v.mT
    else:
        u, s, vh = torch.linalg.svd(weight.float(), full_matrices=False)
    root = (s[:rank] / scale).sqrt()
    return root.unsqueeze(1) * vh[:rank], u[:, :rank] * root


class PiSSALinear(_PiSSAMixin, LoRALinear):
    """PiSSA on a linear layer, or on some of the q, k, v rows of a fused one; tensors as in :class:`LoRALinear`."""


class PiSSAConv2d(_PiSSAMixin, LoRAConv2d):
    """PiSSA on a convolution, with its kernels as rows of a matrix; tensors as in :class:`LoRAConv2d`."""


@register
class PiSSA(LowRankMethod[PiSSAConfig]):
    """Principal Singular values and Singular vectors Adaptation."""

    name = "pissa"
    label = N_("PiSSA")
    summary = N_("LoRA initialized with the principal directions of the weight, so it learns faster. Merges like LoRA.")
    info = MethodInfo(badge="r{rank}", when_to_use=N_("Like LoRA, if training should converge faster."))
    paper = "Meng et al. 2024, https://arxiv.org/abs/2404.02948"
    Config = PiSSAConfig
    linear = PiSSALinear
    conv2d = PiSSAConv2d
    learning_rate = 1e-3

    def unsupported_reason(self, layer: Layer, config: PiSSAConfig, slices: tuple[str, ...]) -> str:
        """Support the layers of LoRA except grouped convolutions, with a rank that the weight can have."""
        reason = super().unsupported_reason(layer, config, slices)
        if reason:
            return reason
        if layer.groups > 1:
            return N_("PiSSA decomposes a weight as one matrix, but a grouped convolution has several.")
        limit = max_rank(layer, slices)
        return N_("The rank of this weight is at most {limit}.", limit=limit) if config.rank > limit else ""
