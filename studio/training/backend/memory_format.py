"""Memory format: channels_last is faster for convolutional backbones."""

from typing import Literal

import torch
from torch import Tensor

from studio.core.layers import Role
from studio.peft import AdaptedModel


def choose_memory_format(model: AdaptedModel, requested: Literal["auto", "on", "off"]) -> torch.memory_format:
    """Return the memory format for images, and convert the frozen weights.

    With "auto" it depends on the backbone. Trainable weights keep torch's contiguous format, which optimizers and
    checkpoints expect.
    """
    if requested == "off" or (requested == "auto" and not _is_convolutional(model)):
        return torch.contiguous_format
    for parameter in model.module.parameters():
        if parameter.ndim == 4 and not parameter.requires_grad:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return torch.channels_last


def to_memory_format(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return images (N, 3, H, W) in ``memory_format``."""
    return images.contiguous(memory_format=memory_format)


def _is_convolutional(model: AdaptedModel) -> bool:
    roles = {layer.role for layer in model.layers if layer.block is not None}
    return Role.CONV in roles and Role.ATTENTION not in roles
