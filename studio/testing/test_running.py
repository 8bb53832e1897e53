"""A backbone with attachments in autocast, copies, checkpointing and export."""

import copy
import warnings

import torch
from torch import Tensor, nn

from studio.testing import observing
from studio.testing.cases import Case
from studio.testing.families import build_backbone, random_images

BFLOAT16_TOLERANCE = 0.15
"""bfloat16 has three digits; the test looks for a branch that is left out or counted twice."""


def test_bfloat16_autocast(case: Case) -> None:
    attached = case.trained()
    exact = observing.logits(attached.module, case.family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = observing.logits(attached.module, case.family)
        observing.backward_pass(attached.train(), random_images(case.family))
    assert observing.largest_difference(exact, rounded.float()) < BFLOAT16_TOLERANCE
    assert all(p.dtype is torch.float32 for p in attached.parameters())
    assert all(torch.isfinite(p.grad).all() for p in attached.parameters() if p.grad is not None)


def test_deepcopy_is_independent(sampled: Case) -> None:
    attached = sampled.trained()
    before = observing.logits(attached.module, sampled.family)
    twin = copy.deepcopy(attached)
    assert twin.parameter_counts() == attached.parameter_counts()
    assert observing.same_bytes(observing.logits(twin.module, sampled.family), before)
    observing.train_briefly(twin, sampled.family)
    assert not observing.same_bytes(observing.logits(twin.module, sampled.family), before)
    twin.detach()
    assert observing.same_bytes(observing.logits(attached.module, sampled.family), before)


def test_gradient_checkpointing(case: Case) -> None:
    attached = case.trained().train()
    plain = _gradients(attached, case)
    attached.module.set_grad_checkpointing(True)
    again = _gradients(attached, case)
    assert max(observing.largest_difference(plain[name], again[name]) for name in plain) < 1e-5


def _gradients(attached: observing.AdaptedModel, case: Case) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    for parameter in attached.parameters():
        parameter.grad = None
    observing.backward_pass(attached, random_images(case.family))
    return {name: p.grad.clone() for name, p in attached.named_parameters() if p.grad is not None}


def test_forward_intermediates(case: Case) -> None:
    attached = case.trained()
    x = random_images(case.family)
    with torch.no_grad():
        last, between = attached.module.forward_intermediates(x)
        whole = attached.module.forward_features(x)
        plain = build_backbone(case.family)
        plain_last, plain_between = plain.forward_intermediates(x)
    assert [t.shape for t in between] == [t.shape for t in plain_between]
    assert _without_prefix(attached.module, last).shape == _without_prefix(plain, plain_last).shape
    assert observing.largest_difference(whole, last) < 1e-6


def _without_prefix(module: nn.Module, features: Tensor) -> Tensor:
    """Return the features without class token, registers and prompts, which a method may add."""
    return features[:, getattr(module, "num_prefix_tokens", 0) :]


def test_torch_export(exported: Case) -> None:
    attached = exported.trained()
    x = random_images(exported.family, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(attached.module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    again = observing.logits(program.module(), exported.family)
    assert observing.largest_difference(observing.logits(attached.module, exported.family), again) < 1e-5
