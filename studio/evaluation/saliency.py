"""Where a network looks: maps over an image, for every family of backbones.

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

ROLLOUT_UNSUPPORTED = (
    "This backbone has no attention over the whole image in every block; look at it with Grad-CAM instead."
)


def grad_cam(module: nn.Module, image: Tensor, label: int, layers: Sequence[Layer]) -> Tensor:
    """Where ``image`` (3, height, width) speaks for the class ``label``: a coarse map (rows, columns) in [0, 1].

    Of tokens it takes those that enter the last block, as what leaves it may not reach the class token any more; else
    the feature map that leaves the last block, or the last layer where there are no blocks.
    """
    kept = _BlockFeatures(module, layers)
    with torch.enable_grad(), kept:
        logits = module(image.unsqueeze(0))
        leaf = kept.leaf()
        gradient, *_ = torch.autograd.grad(logits[0, label], leaf)
    features, slopes = (kept.as_map(tensor.detach()[0]) for tensor in (leaf, gradient))
    weights = slopes.mean(dim=(1, 2), keepdim=True)
    return _rescale_to_unit((weights * features).sum(0).relu()).cpu()


def attention_rollout(module: nn.Module, image: Tensor) -> Tensor:
    """How much of each patch of ``image`` (3, height, width) reaches the output through all attentions.

    A coarse map (rows, columns) in [0, 1]: the product over blocks of (A + 1) / 2, with A the mean over heads. Raises
    StudioError for a network without attention over the whole image in every block.
    """
    with torch.no_grad(), _AttentionRecorder() as seen:
        module(image.unsqueeze(0))
    grid = _patch_grid(module)
    if grid is None:
        raise StudioError(ROLLOUT_UNSUPPORTED)
    patches = math.prod(grid)
    means = [attention.mean(0) for attention in seen.weights]
    steps = [_without_prefix_keys(mean) for mean in means if patches <= mean.shape[0] <= mean.shape[1]]
    windows = any(mean.shape[0] == mean.shape[1] < patches for mean in means)
    if windows or len({len(step) for step in steps}) != 1:
        raise StudioError(ROLLOUT_UNSUPPORTED)
    flow = own = torch.eye(len(steps[0]), device=image.device)
    for step in steps:
        flow = (step + own) / 2 @ flow
    return _rescale_to_unit(_output_attention(module, flow, means[-1])[-patches:].reshape(grid)).cpu()


def _output_attention(module: nn.Module, flow: Tensor, last: Tensor) -> Tensor:
    """What of each token reaches the output: through the class token, the mean of all, or an attention that pools."""
    if last.shape[0] == 1:
        return (last @ flow)[0]
    return flow[0] if getattr(module, "global_pool", "token") == "token" else flow.mean(0)


class _BlockFeatures:
    """Cuts a forward pass open at each block; the last cut that leaves a map is what gradients are taken of."""

    def __init__(self, module: nn.Module, layers: Sequence[Layer]) -> None:
        self._module = module
        self._blocks = [layer for layer in layers if layer.role is Role.BLOCK]
        self._leaf: Tensor | None = None
        self._channels_last = False
        self._stack = ExitStack()

    def __enter__(self) -> "_BlockFeatures":
        for row in self._blocks:
            block = self._module.get_submodule(row.path)
            self._add_hook(block.register_forward_pre_hook(self._capture_input, with_kwargs=True))
            self._add_hook(block.register_forward_hook(partial(self._capture_output, row)))
        leaves = (layer for layer in self._module.modules() if next(layer.children(), None) is None)
        for layer in () if self._blocks else leaves:
            self._add_hook(layer.register_forward_hook(partial(self._capture_output, None)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _add_hook(self, handle: Any) -> None:
        self._stack.callback(handle.remove)

    def _capture_input(self, block: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Tokens (1, tokens, width) are taken as they come in."""
        if given and isinstance(given[0], Tensor) and given[0].dim() == 3:
            return (self._as_leaf(given[0]), *given[1:]), named
        return None

    def _capture_output(self, row: Layer | None, layer: nn.Module, given: Any, output: Any) -> Any:
        """A feature map (1, channels, rows, columns), or with channels last, is taken as it goes out."""
        if not isinstance(output, Tensor) or output.dim() != 4:
            return None
        last = row is not None and bool(row.width) and not row.channels_first and output.shape[-1] == row.width
        if math.prod(output.shape[1:3] if last else output.shape[2:]) < 2:
            return None
        self._channels_last = last
        return self._as_leaf(output)

    def _as_leaf(self, tensor: Tensor) -> Tensor:
        self._leaf = tensor.detach().requires_grad_()
        return self._leaf.clone()  # what follows may work in place, which a leaf does not allow

    def leaf(self) -> Tensor:
        """The features that were cut out; StudioError where the network has none to make a map of."""
        if self._leaf is None:
            raise StudioError("This backbone keeps no map of features that could be drawn over the image.")
        return self._leaf

    def as_map(self, tensor: Tensor) -> Tensor:
        """Tokens (tokens, width) or a map, as (channels, rows, columns); tokens that are no patches are left out."""
        if tensor.dim() == 3:
            return tensor.movedim(-1, 0) if self._channels_last else tensor
        side = math.isqrt(tensor.shape[0])
        rows, columns = _patch_grid(self._module) or (side, side)
        return tensor[-rows * columns :].T.reshape(-1, rows, columns)


class _AttentionRecorder(TorchFunctionMode):
    """Notes the attention weights (heads, queries, keys) of one image, on this thread only."""

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
    """Without the keys that stand for no token, such as a prefix, which come first."""
    queries, keys = weights.shape
    kept = weights[:, keys - queries :]
    return kept / kept.sum(-1, keepdim=True).clamp_min(1e-12)


def _patch_grid(module: nn.Module) -> tuple[int, int] | None:
    """Rows and columns of the patches that a network of tokens cuts an image into."""
    grid = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    return (int(grid[0]), int(grid[1])) if grid else None


def _rescale_to_unit(values: Tensor) -> Tensor:
    """From the smallest to the largest value as 0 to 1; zeros where all are the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)
