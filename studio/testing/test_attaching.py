"""What attaching does to a backbone and what it leaves alone."""

import torch

from studio.core.errors import StudioError
from studio.peft import METHODS, attach
from studio.testing import observing
from studio.testing.cases import Case, outcome
from studio.testing.families import build, images, layers

PATIENCE = 40
"""Steps within which a method with a random depth has used every layer."""


def test_a_refused_family_is_told_why(refused: Case) -> None:
    assert observing.is_sentence(outcome(refused.method, refused.family).refusal)


def test_identity_at_the_start(case: Case) -> None:
    plain = build(case.family)
    before = observing.logits(plain, case.family)
    attached = case.attach_to(plain)
    for mode in (False, True):
        attached.train(mode)
        same = observing.same_bytes(observing.logits(plain, case.family), before)
        assert same == METHODS.get(case.method).identity_at_start, f"in {'training' if mode else 'evaluation'} mode"


def test_every_trainable_tensor_has_a_gradient_within_two_steps(case: Case) -> None:
    _learns_everywhere(case)


def test_every_trainable_tensor_has_a_gradient_whatever_is_chosen(variant: Case) -> None:
    _learns_everywhere(variant)


def test_no_accepted_layer_is_silently_dead(everywhere: Case) -> None:
    _learns_everywhere(everywhere)


def _learns_everywhere(case: Case) -> None:
    attached = case.attach().train()
    assert attached.unused(), "before any backward pass nothing has a gradient"
    waiting = dict(attached.named_parameters())
    idles = any(getattr(layer, "idles", False) for layer in attached.module.modules())
    stepping = observing.optimizer(attached)
    for number in range(PATIENCE if idles else 2):
        stepping.zero_grad()
        observing.backward(attached, images(case.family, seed=number))
        assert attached.unused() == ()
        waiting = {n: p for n, p in waiting.items() if p.grad is None or not p.grad.any()}
        stepping.step()
    assert list(waiting) == []


def test_only_declared_tensors_change(case: Case) -> None:
    plain = build(case.family)
    base = observing.tensors(plain)
    values = observing.copied(base)
    attached = case.attach_to(plain)
    assert observing.changed(base, values) == []
    within = observing.tensors(plain)
    start = observing.copied(within)
    declared = {id(tensor) for *_, tensor in attached.named_tensors()}
    observing.train(attached, case.family)
    moved = observing.changed(within, start)
    assert [name for name in moved if id(within[name]) not in declared] == []
    assert {id(p) for p in attached.parameters()} <= {id(within[name]) for name in moved}
    assert observing.changed(base, values) == []
    attached.detach()
    assert observing.changed(observing.tensors(plain), values) == []


def test_what_trains_is_what_requires_a_gradient(case: Case) -> None:
    attached = case.attach()
    listed = [id(p) for p in attached.parameters()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in attached.module.parameters() if p.requires_grad}


def test_detach_restores_the_module_tree(case: Case) -> None:
    plain = build(case.family)
    before = observing.logits(plain, case.family)
    plain.train()
    next(plain.children()).eval()
    next(plain.parameters()).requires_grad_(False)
    tree = observing.Tree(plain)
    attached = case.attach_to(plain)
    observing.train(attached, case.family)
    attached.detach()
    assert tree.differences() == []
    assert observing.same_bytes(observing.logits(plain.eval(), case.family), before)


def test_switched_off_it_is_the_plain_backbone(case: Case) -> None:
    before = observing.logits(build(case.family), case.family)
    attached = case.trained()
    after = observing.logits(attached.module, case.family)
    assert not observing.same_bytes(after, before)
    attached.enabled = False
    assert observing.same_bytes(observing.logits(attached.module, case.family), before)
    attached.enabled = True
    assert observing.same_bytes(observing.logits(attached.module, case.family), after)


def test_the_count_is_the_same_on_the_meta_device(case: Case) -> None:
    _counts_alike(case)


def test_the_count_is_the_same_whatever_is_chosen(variant: Case) -> None:
    _counts_alike(variant)


def _counts_alike(case: Case) -> None:
    attached = case.attach()
    census = attached.census()
    assert case.attach(meta=True).census() == census
    parameters = list(attached.module.parameters())
    assert census.trainable_parameters == sum(p.numel() for p in parameters if p.requires_grad)
    assert census.total_parameters == sum(p.numel() for p in parameters)
    assert census.adapter_bytes == sum(t.numel() * t.element_size() for t in attached.state_dict().values())
    assert census.attachments[0].matched


def test_batch_norm_stays_frozen(case: Case) -> None:
    attached = case.attach().train()
    frozen = [layer for layer in attached.module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    means = [layer.running_mean.clone() for layer in frozen if layer.running_mean is not None]
    observing.backward(attached, images(case.family))
    assert not any(layer.training for layer in frozen)
    assert all(torch.equal(layer.running_mean, mean) for layer, mean in zip(frozen, means, strict=True))


def test_two_of_a_kind_stack_or_are_refused(home: Case) -> None:
    first = home.attachment.model_copy(update={"name": "first"})
    second = home.attachment.model_copy(update={"name": "second"})
    plain = build(home.family)
    tree = observing.Tree(plain)
    refusal = None
    try:
        attached = attach(plain, [first, second], layers=layers(home.family))
    except StudioError as error:
        refusal = str(error)
    else:
        observing.train(attached, home.family).detach()
    assert refusal is None or observing.is_sentence(refusal)
    assert tree.differences() == []
