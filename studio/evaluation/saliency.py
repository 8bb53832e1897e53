"""Saliency maps over an image, for every family of backbones.

Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391. Attention rollout: Abnar and Zuidema 2020,
https://arxiv.org/abs/2005.00928.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_

ROLLOUT_UNSUPPORTED = N_(
    "Attention rollout needs global attention in every block, which this backbone lacks. Use Grad-CAM instead."
)


def grad_cam(module: nn.Module, image: Tensor, label: int, layers: Sequence[Layer]) -> Tensor:
    """Return the Grad-CAM map (rows, columns) in [0, 1] for the class ``label``.

    ``image`` is (3, height, width). For transformers the map uses the tokens that enter the last block, because the
    patch tokens that leave it may not reach the output; otherwise the feature map that leaves the last block, or the
    last layer if there are no blocks.
    """
    features = _BlockFeatures(module, layers)
    with torch.enable_grad(), features:
        logits = module(image.unsqueeze(0))
        leaf = features.leaf()
        gradient, *_ = torch.autograd.grad(logits[0, label], leaf)
    activations, gradients = (features.as_map(tensor.detach()[0]) for tensor in (leaf, gradient))
    weights = gradients.mean(dim=(1, 2), keepdim=True)
    return _rescale_to_unit((weights * activations).sum(0).relu()).cpu()


def attention_rollout(module: nn.Module, image: Tensor) -> Tensor:
    """Return the attention rollout map (rows, columns) in [0, 1].

    ``image`` is (3, height, width). The map is the product over blocks of (A + I) / 2, with A the attention's mean over
    heads. Raises StudioError for a network without global attention in every block.
    """
    with torch.no_grad(), _AttentionRecorder() as recorder:
        module(image.unsqueeze(0))
    grid = _patch_grid(module)
    if grid is None:
        raise StudioError("no-rollout", ROLLOUT_UNSUPPORTED)
    patches = math.prod(grid)
    means = [attention.mean(0) for attention in recorder.weights]
    steps = [_without_prefix_keys(mean) for mean in means if patches <= mean.shape[0] <= mean.shape[1]]
    windows = any(mean.shape[0] == mean.shape[1] < patches for mean in means)
    if windows or len({len(step) for step in steps}) != 1:
        raise StudioError("no-rollout", ROLLOUT_UNSUPPORTED)
    rollout = identity = torch.eye(len(steps[0]), device=image.device)
    for step in steps:
        rollout = (step + identity) / 2 @ rollout
    return _rescale_to_unit(_output_attention(module, rollout, means[-1])[-patches:].reshape(grid)).cpu()


def _output_attention(module: nn.Module, rollout: Tensor, last: Tensor) -> Tensor:
    """Return each token's share of the output.

    The output is the class token, the mean of all, or a pooling attention.
    """
    if last.shape[0] == 1:
        return (last @ rollout)[0]
    return rollout[0] if getattr(module, "global_pool", "token") == "token" else rollout.mean(0)


class _BlockFeatures:
    """Features of a forward pass, detached at each block.

    Gradients are taken of the last ones that form a map.
    """

    def __init__(self, module: nn.Module, layers: Sequence[Layer]) -> None:
        self._module = module
        self._blocks = [layer for layer in layers if layer.role is Role.BLOCK]
        self._leaf: Tensor | None = None
        self._channels_last = False
        self._stack = ExitStack()

    def __enter__(self) -> "_BlockFeatures":
        for layer in self._blocks:
            block = self._module.get_submodule(layer.path)
            self._add_hook(block.register_forward_pre_hook(self._capture_input, with_kwargs=True))
            self._add_hook(block.register_forward_hook(partial(self._capture_output, layer)))
        leaves = (module for module in self._module.modules() if next(module.children(), None) is None)
        for module in () if self._blocks else leaves:
            self._add_hook(module.register_forward_hook(partial(self._capture_output, None)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _add_hook(self, handle: Any) -> None:
        self._stack.callback(handle.remove)

    def _capture_input(self, block: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Capture tokens (1, tokens, width) at the input."""
        if args and isinstance(args[0], Tensor) and args[0].dim() == 3:
            return (self._as_leaf(args[0]), *args[1:]), kwargs
        return None

    def _capture_output(self, layer: Layer | None, module: nn.Module, args: Any, output: Any) -> Any:
        """Capture a feature map (1, C, rows, columns), or channels last, at the output."""
        if not isinstance(output, Tensor) or output.dim() != 4:
            return None
        last = layer is not None and bool(layer.width) and not layer.channels_first and output.shape[-1] == layer.width
        if math.prod(output.shape[1:3] if last else output.shape[2:]) < 2:
            return None
        self._channels_last = last
        return self._as_leaf(output)

    def _as_leaf(self, tensor: Tensor) -> Tensor:
        self._leaf = tensor.detach().requires_grad_()
        return self._leaf.clone()  # the next layer may work in place, which a leaf does not allow

    def leaf(self) -> Tensor:
        """Return the captured features; StudioError if none form a map."""
        if self._leaf is None:
            raise StudioError("no-feature-map", "Grad-CAM needs a feature map, and this backbone has none.")
        return self._leaf

    def as_map(self, tensor: Tensor) -> Tensor:
        """Return tokens (tokens, width) or a map as (channels, rows, columns).

        Tokens that are not patches are left out.
        """
        if tensor.dim() == 3:
            return tensor.movedim(-1, 0) if self._channels_last else tensor
        side = math.isqrt(tensor.shape[0])
        rows, columns = _patch_grid(self._module) or (side, side)
        return tensor[-rows * columns :].T.reshape(-1, rows, columns)


class _AttentionRecorder(TorchFunctionMode):
    """Recorder of the attention weights (heads, queries, keys) on this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention:
            self.weights.append(_attention_weights(args[0], args[1], named.get("attn_mask"), named.get("scale"))[0])
        output = func(*args, **named)
        softmax = func in (Tensor.softmax, torch.softmax, functional.softmax)
        if softmax and isinstance(output, Tensor) and output.dim() == 4:
            self.weights.append(output[0])
        return output


def _attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    with torch.overrides.BaseTorchFunctionMode():
        return scores.softmax(-1)


def _without_prefix_keys(weights: Tensor) -> Tensor:
    """Remove leading keys that belong to no token (a prefix), and normalize."""
    queries, keys = weights.shape
    kept = weights[:, keys - queries :]
    return kept / kept.sum(-1, keepdim=True).clamp_min(1e-12)


def _patch_grid(module: nn.Module) -> tuple[int, int] | None:
    """Return rows and columns of a transformer's patch grid; None for others."""
    grid = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    return (int(grid[0]), int(grid[1])) if grid else None


def _rescale_to_unit(values: Tensor) -> Tensor:
    """Rescale from the range of the values to [0, 1]; zeros if all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)
