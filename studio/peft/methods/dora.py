"""DoRA: LoRA for the direction of each row of a weight, and a trainable vector for its magnitude.

Liu et al. 2024, https://arxiv.org/abs/2402.09353. W' = m (W + s B A) / ||W + s B A||, row by row, with the norm held
constant in the backward pass (section 4.3). The norm is computed from ||W||^2 + 2 s <W A^T, B> + s^2 <B A A^T, B>, so
that B A, which is as large as the weight, is never built.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, register
from studio.peft.method_info import MethodInfo
from studio.peft.methods.lora import LoRAConfig, LoRAConv2d, LoRALinear, LowRankLayer, LowRankMethod


def weight_norm(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Return ||weight + scale b a|| of each row, (n rows,) float32.

    ``weight`` is (n, rows, in), ``a`` (n, r, in) and ``b`` (n, rows, r).
    """
    weight, a, b = weight.float(), a.float(), b.float()
    own = torch.linalg.vector_norm(weight, dim=-1).square()
    cross = (torch.bmm(weight, a.mT) * b).sum(-1)
    update = (torch.bmm(b, torch.bmm(a, a.mT)) * b).sum(-1)
    square = own + 2 * scale * cross + scale * scale * update
    return square.clamp_min(torch.finfo(torch.float32).tiny).sqrt().flatten()


class _DoRAMixin(LowRankLayer):
    """``magnitude``, the norm of each adapted row, for linear layers and convolutions."""

    magnitude: nn.Parameter

    def _reset_parameters(self, config: Any) -> None:
        super()._reset_parameters(config)
        self._check_weight()
        self.magnitude = nn.Parameter(self.lora_B.new_empty(len(self.lora_B)))
        if not self.magnitude.is_meta:
            self.magnitude.data.copy_(self.norm(effective_weight(self.base_layer)))

    def _check_weight(self) -> None:
        """Raise StudioError unless all adapters below on the same rows amount to a change of the weight."""
        layer = self.base_layer
        while isinstance(layer, AdaptedLayer):
            if not isinstance(layer, LowRankLayer) and _rows_overlap(self.rows, vars(layer).get("rows")):
                raise StudioError(
                    "attachment-conflict",
                    "Cannot attach DoRA: it scales the rows of a weight, but this layer has another attachment. "
                    "Move DoRA before it in the list, or choose other layers.",
                )
            layer = layer.base_layer

    def peft_magnitude(self) -> Tensor:
        """Return ``magnitude``."""
        return self.magnitude

    def norm(self, weight: Tensor) -> Tensor:
        """Return the norm of each adapted row of ``weight`` with the update, (rows,)."""
        with torch.no_grad(), torch.autocast(self.lora_B.device.type, enabled=False):
            return weight_norm(*self._grouped(weight), self.scale)

    def _grouped(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weight, A and B as batches of matrices, one for each range of rows or group of a convolution."""
        if self.rows:
            weight = torch.cat([weight[start:stop] for start, stop in self.rows])
        count = len(self.rows) or self.groups
        return tuple(t.flatten(1).unflatten(0, (count, -1)) for t in (weight, self.lora_A, self.lora_B))  # type: ignore[return-value]

    def gain(self, weight: Tensor) -> Tensor:
        """Return the factor of each adapted row, m / ||W + s B A||, (rows,)."""
        return self.magnitude / self.norm(weight).to(self.magnitude.dtype)

    def excess(self, gain: Tensor) -> Tensor:
        """Return ``gain`` - 1 over all rows of the weight, zero for rows that are not adapted."""
        if not self.rows:
            return gain - 1
        full = gain.new_zeros(self.out_features)
        for (start, stop), part in zip(self.rows, gain.split(gain.numel() // len(self.rows)), strict=True):
            full[start:stop] = part - 1
        return full

    def without_bias(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the layer's output ``y`` without the bias, which DoRA does not scale."""
        bias = cast("Tensor | None", self.unwrapped.bias)
        return y if bias is None else y - bias.to(y.dtype).view(shape)

    def merged_weight(self, weight: Tensor) -> Tensor:
        """Return ``weight`` with the update added and its rows scaled."""
        gain = 1 + self.excess(self.gain(weight).detach())
        return super().merged_weight(weight) * gain.view(-1, *[1] * (weight.ndim - 1)).to(weight.dtype)


class DoRALinear(_DoRAMixin, LoRALinear):
    """DoRA on a linear layer, or on some of the q, k, v rows of a fused one; tensors as in :class:`LoRALinear`."""

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Map x (..., in) to base(x) + (gain - 1) W x + gain s B A x, (..., out); exactly base(x) at first."""
        y, gain = self.base_layer(x), self.gain(effective_weight(self.base_layer))
        b = self.expand_rows(self.lora_B * gain.unsqueeze(1))
        updated = self.add_update(y, x, self.lora_A, b)
        return torch.addcmul(updated, self.without_bias(y, (-1,)), self.excess(gain).to(y.dtype))


class DoRAConv2d(_DoRAMixin, LoRAConv2d):
    """DoRA on a convolution, with a norm for each output channel; tensors as in :class:`LoRAConv2d`."""

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Map x (N, in, H, W) to (N, out, H', W')."""
        y, gain = self.base_layer(x), self.gain(effective_weight(self.base_layer))
        updated = y + self.lora_output(x, self.lora_A, self.lora_B * (self.scale * gain).view(-1, 1, 1, 1))
        excess = self.excess(gain).to(y.dtype).view(-1, 1, 1)
        return torch.addcmul(updated, self.without_bias(y, (-1, 1, 1)), excess)


def effective_weight(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer`` with its low-rank updates."""
    if not isinstance(layer, AdaptedLayer):
        return cast(Tensor, layer.weight)
    under = effective_weight(layer.base_layer)
    if not isinstance(layer, LowRankLayer) or not layer.enabled:
        return under
    with torch.autocast(under.device.type, enabled=False):
        return layer.merged_weight(under)


def _rows_overlap(one: list[tuple[int, int]], other: list[tuple[int, int]] | None) -> bool:
    """Return whether two lists of row ranges share a row; an empty or unknown list means all rows."""
    return not one or not other or any(a < d and c < b for a, b in one for c, d in other)


@register
class DoRA(LowRankMethod[LoRAConfig]):
    """Weight-Decomposed Low-Rank Adaptation."""

    name = "dora"
    label = N_("DoRA")
    summary = N_("LoRA for the direction of each row of a weight, and a vector for its magnitude. Merges like LoRA.")
    info = MethodInfo(
        badge="r{rank}",
        when_to_use=N_("If LoRA with a small rank falls short of full fine-tuning; each step takes longer."),
    )
    paper = "Liu et al. 2024, https://arxiv.org/abs/2402.09353"
    Config = LoRAConfig
    linear = DoRALinear
    conv2d = DoRAConv2d
    learning_rate = 3e-3
