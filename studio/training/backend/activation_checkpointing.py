"""Gradient checkpointing: what a block computed is computed again when its gradient is (https://arxiv.org/abs/1604.06174).

Memory then holds what goes into each block and the inside of one block, instead of the inside of all. A step takes
about a third longer, and its results are the same, bit for bit, as random numbers are drawn alike both times.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from studio.core.layers import Role
from studio.peft import AdaptedModel


def checkpoint_blocks(model: AdaptedModel) -> None:
    """Let each block of the backbone forget its inside; whoever calls the blocks, in whatever order."""
    for path in _outermost_blocks(model):
        block = model.module.get_submodule(path)
        block.forward = _checkpointed(block.forward)


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def forgetful(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return forgetful


def _outermost_blocks(model: AdaptedModel) -> Iterator[str]:
    """The outermost blocks."""
    outer = "\0"
    for layer in model.layers:
        if layer.role is Role.BLOCK and not layer.path.startswith(f"{outer}."):
            outer = layer.path
            yield outer
