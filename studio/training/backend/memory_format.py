"""How a convolutional backbone's numbers lie in memory: channels last is what processors read fastest."""

from typing import Literal

import torch
from torch import Tensor

from studio.core.layers import Role
from studio.peft import AdaptedModel


def choose_memory_format(model: AdaptedModel, requested: Literal["auto", "on", "off"]) -> torch.memory_format:
    """What images should come in; "auto" is channels last where the backbone is convolutional throughout.

    The frozen weights are put in the same order, with their values as they are. What trains stays in torch's own, as
    optimisers and checkpoints expect it.
    """
    if requested == "off" or (requested == "auto" and not _is_convolutional(model)):
        return torch.contiguous_format
    for parameter in model.module.parameters():
        if parameter.ndim == 4 and not parameter.requires_grad:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return torch.channels_last


def to_memory_format(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Images (batch, 3, height, width) in that order."""
    return images.contiguous(memory_format=memory_format)


def _is_convolutional(model: AdaptedModel) -> bool:
    roles = {layer.role for layer in model.layers if layer.block is not None}
    return Role.CONV in roles and Role.ATTENTION not in roles
