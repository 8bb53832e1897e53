"""Gradient checkpointing of the blocks (https://arxiv.org/abs/1604.06174).

Memory holds the inputs of all blocks and the activations of one, instead of the activations of all. A step takes about
a third longer. Results are the same bit for bit, because random numbers are the same in both computations.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from studio.core.layers import Role
from studio.peft import AdaptedModel


def checkpoint_blocks(model: AdaptedModel) -> None:
    """Checkpoint each block of the backbone.

    Its ``forward`` is replaced, so that it works for every caller of the blocks.
    """
    for path in _outermost_blocks(model):
        block = model.module.get_submodule(path)
        block.forward = _checkpointed(block.forward)


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return checkpointed


def _outermost_blocks(model: AdaptedModel) -> Iterator[str]:
    """Yield the paths of the outermost blocks."""
    outer = "\0"
    for layer in model.layers:
        if layer.role is Role.BLOCK and not layer.path.startswith(f"{outer}."):
            outer = layer.path
            yield outer
