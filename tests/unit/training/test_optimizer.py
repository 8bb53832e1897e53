"""The optimizer: parameter groups, state and gradient clipping."""

import pytest
import torch
from torch import nn

from studio.core.recipe import Training
from studio.training import optimizer


def _named() -> list[tuple[str, nn.Parameter]]:
    torch.manual_seed(0)
    return [
        ("a", nn.Parameter(torch.randn(3, 4))),
        ("b", nn.Parameter(torch.randn(3))),
        ("c", nn.Parameter(torch.randn(4, 2))),
    ]


def _step(named: list[tuple[str, nn.Parameter]], made: torch.optim.Optimizer, count: int) -> None:
    for number in range(count):
        for _, parameter in named:
            parameter.grad = torch.sin(parameter.detach() * (number + 2))
        optimizer.set_lr(made, 0.1 / (number + 1))
        made.step()


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_an_optimizer_resumes_from_its_named_tensors(kind: str) -> None:
    training = Training(optimizer=kind)  # type: ignore[arg-type]
    first, second = _named(), _named()
    whole, part = (optimizer.build_optimizer(named, {"c": 4.0}, training) for named in (first, second))
    _step(first, whole, 3), _step(second, part, 3)
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors(part, second).items()}
    fresh = optimizer.build_optimizer(second, {"c": 4.0}, training)
    optimizer.load_state_tensors(fresh, second, saved)
    _step(first, whole, 2), _step(second, fresh, 2)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))


def test_matrices_alone_are_decayed_and_rates_scaled() -> None:
    named = _named()
    made = optimizer.build_optimizer(named, {"c": 4.0}, Training(weight_decay=0.5))
    optimizer.set_lr(made, 0.1)
    groups = {id(p): group for group in made.param_groups for p in group["params"]}
    found = {name: (groups[id(p)]["weight_decay"], groups[id(p)]["lr"]) for name, p in named}
    assert found == {"a": (0.5, 0.1), "b": (0.0, 0.1), "c": (0.5, 0.4)}


def test_gradients_are_scaled_down_to_the_norm_or_left_alone() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    parameter.grad = torch.full((4,), 3.0)
    assert optimizer.clip_grad_norm([parameter], 0.0).item() == 6.0
    assert parameter.grad.norm().item() == 6.0
    optimizer.clip_grad_norm([parameter], 1.5)
    assert parameter.grad.norm().item() == pytest.approx(1.5)
