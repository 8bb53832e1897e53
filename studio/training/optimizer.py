"""AdamW and SGD over the adapter's parameters, and their state as named tensors."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from studio.core.recipe import Training

NamedParameters = list[tuple[str, nn.Parameter]]


def build_optimizer(named_parameters: NamedParameters, lr_scales: Mapping[str, float], training: Training) -> Optimizer:
    """The recipe's optimiser. Biases, norms and other vectors are not decayed; ``lr_scales`` are factors on the rate."""
    groups = list(_param_groups(named_parameters, lr_scales, training))
    if training.optimizer == "sgd":
        return SGD(groups, lr=training.learning_rate, momentum=0.9, nesterov=True)
    fused = all(parameter.device.type in ("cpu", "cuda", "mps") for _, parameter in named_parameters)
    return AdamW(groups, lr=training.learning_rate, fused=fused)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every group, each with its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def state_tensors(optimizer: Optimizer, named_parameters: NamedParameters) -> dict[str, Tensor]:
    """The optimiser's state as ``parameter name:key``."""
    state = optimizer.state
    return {
        f"{name}:{key}": value
        for name, parameter in named_parameters
        for key, value in state.get(parameter, {}).items()
    }


def load_state_tensors(optimizer: Optimizer, named_parameters: NamedParameters, saved: Mapping[str, Tensor]) -> None:
    """Put back what :func:`state_tensors` gave."""
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
    """Parameters that share decay and rate; matrices are decayed."""
    grouped: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        grouped.setdefault((parameter.ndim > 1, lr_scales.get(name, 1.0)), []).append(parameter)
    for (decayed, scale), parameters in grouped.items():
        yield {"params": parameters, "scale": scale, "weight_decay": training.weight_decay if decayed else 0.0}


def clip_grad_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """The norm of all gradients together; above ``max_norm`` they are scaled down to it, 0 leaves them as they are."""
    return nn.utils.clip_grad_norm_(parameters, max_norm or torch.inf)
