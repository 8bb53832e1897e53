"""AdamW and SGD for the adapter parameters, with their state as named tensors."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from studio.core.recipe import Training

NamedParameters = list[tuple[str, nn.Parameter]]


def build_optimizer(named_parameters: NamedParameters, lr_scales: Mapping[str, float], training: Training) -> Optimizer:
    """Build the optimizer of the recipe.

    Biases, norms and other vectors have no weight decay. ``lr_scales`` are factors on the learning rate by parameter.
    """
    groups = list(_param_groups(named_parameters, lr_scales, training))
    if training.optimizer == "sgd":
        return SGD(groups, lr=training.learning_rate, momentum=0.9, nesterov=True)
    fused = all(parameter.device.type in ("cpu", "cuda", "mps") for _, parameter in named_parameters)
    return AdamW(groups, lr=training.learning_rate, fused=fused)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group, times the factor of the group."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def state_tensors(optimizer: Optimizer, named_parameters: NamedParameters) -> dict[str, Tensor]:
    """Return the optimizer state as tensors named ``parameter:key``."""
    state = optimizer.state
    return {
        f"{name}:{key}": value
        for name, parameter in named_parameters
        for key, value in state.get(parameter, {}).items()
    }


def load_state_tensors(optimizer: Optimizer, named_parameters: NamedParameters, saved: Mapping[str, Tensor]) -> None:
    """Load the tensors of :func:`state_tensors`."""
    numbers = {id(p): i for i, p in enumerate(p for group in optimizer.param_groups for p in group["params"])}
    state: dict[int, dict[str, Tensor]] = {}
    for name, parameter in named_parameters:
        own = {key.rpartition(":")[2]: value for key, value in saved.items() if key.rpartition(":")[0] == name}
        if own:
            state[numbers[id(parameter)]] = own
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _param_groups(
    named_parameters: NamedParameters, lr_scales: Mapping[str, float], training: Training
) -> Iterable[dict[str, object]]:
    """Yield groups of parameters with the same weight decay and learning rate factor."""
    grouped: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        grouped.setdefault((parameter.ndim > 1, lr_scales.get(name, 1.0)), []).append(parameter)
    for (decayed, scale), parameters in grouped.items():
        yield {"params": parameters, "scale": scale, "weight_decay": training.weight_decay if decayed else 0.0}


def clip_grad_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Clip all gradients to a total norm, and return their norm before.

    ``max_norm`` 0 disables clipping.
    """
    return nn.utils.clip_grad_norm_(parameters, max_norm or torch.inf)
