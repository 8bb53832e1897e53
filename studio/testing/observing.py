"""Helpers for tests: bytes of tensors, snapshots of module trees, a few training steps."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from studio.peft import AdaptedModel
from studio.testing.families import CLASSES, random_images

LEARNING_RATE = 1e-2
"""Large enough that a few steps of AdamW change every value by more than rounding errors."""


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return every parameter and buffer by name, including non-persistent ones."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def clone_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of the current values."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def changed_names(state: dict[str, Tensor], before: dict[str, Tensor]) -> list[str]:
    """Return the names whose bytes differ from ``before``."""
    return [name for name, tensor in state.items() if not same_bytes(tensor, before[name])]


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal bit for bit, including signs of zero and NaN."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bytes(a), _bytes(b))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().flatten().view(torch.uint8)


class ModuleSnapshot:
    """Snapshot of a module tree: objects, attributes, hooks, modes, and requires_grad flags."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._before = dict(_module_state(module))

    def differences(self) -> list[str]:
        """Return the names of everything that changed since the snapshot."""
        now = dict(_module_state(self._module))
        names = self._before.keys() | now.keys()
        return sorted(name for name in names if not _same(self._before.get(name, _ABSENT), now.get(name, _ABSENT)))


_ABSENT = object()


def _module_state(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, layer in module.named_modules(remove_duplicate=False):
        yield path, layer
        for name, value in vars(layer).items():
            entries = value.items() if isinstance(value, dict) else [("", value)]
            yield from ((f"{path}:{name}:{key}", item) for key, item in entries)
        yield from ((f"{path}.{n}: trains", p.requires_grad) for n, p in layer.named_parameters(recurse=False))


def _same(a: Any, b: Any) -> bool:
    simple = (bool, int, float, str, tuple, list, set)
    return a is b or (isinstance(a, simple) and type(a) is type(b) and a == b)


def backward_pass(attached: AdaptedModel, x: Tensor) -> Tensor:
    """Run one backward pass of cross-entropy on ``x`` (N, 3, H, W) and fixed labels; return logits (N, classes)."""
    logits = attached.module(x)
    labels = torch.arange(len(x)) % CLASSES
    nn.functional.cross_entropy(logits.float(), labels).backward()
    return logits


def make_optimizer(attached: AdaptedModel) -> torch.optim.Optimizer:
    """Return AdamW for the trainable parameters."""
    return torch.optim.AdamW(list(attached.parameters()), lr=LEARNING_RATE, weight_decay=0.0)


def train_briefly(attached: AdaptedModel, family: str, steps: int = 3) -> AdaptedModel:
    """Train on random images, then put everything in evaluation mode."""
    attached.train()
    optimizer = make_optimizer(attached)
    for number in range(steps):
        optimizer.zero_grad()
        backward_pass(attached, random_images(family, seed=number))
        optimizer.step()
    optimizer.zero_grad()
    return attached.eval()


@torch.no_grad()
def logits(module: nn.Module, family: str) -> Tensor:
    """Return the logits for the same random images each time, (4, classes)."""
    return module(random_images(family, seed=99))


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference, relative to the larger of 1 and the largest value."""
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / max(1.0, float(a.abs().max())))


def is_sentence(text: object) -> bool:
    """Return whether ``text`` can be shown to a user: a few words on one line, with a full stop."""
    sentence = str(text)
    return len(sentence.split()) > 3 and sentence.endswith(".") and "\n" not in sentence
