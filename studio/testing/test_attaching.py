"""Effects of attaching on a backbone."""

import torch

from studio.core.errors import StudioError
from studio.peft import METHODS, attach
from studio.testing import observing
from studio.testing.cases import Case, case_outcome
from studio.testing.families import backbone_layers, build_backbone, random_images

MAX_STEPS = 40
"""Steps after which a method with a random depth has used every layer."""


def test_an_unsupported_family_has_a_reason(refused: Case) -> None:
    assert observing.is_sentence(case_outcome(refused.method, refused.family).refusal)


def test_identity_at_the_start(case: Case) -> None:
    plain = build_backbone(case.family)
    before = observing.logits(plain, case.family)
    attached = case.attach_to(plain)
    for mode in (False, True):
        attached.train(mode)
        same = observing.same_bytes(observing.logits(plain, case.family), before)
        assert same == METHODS.get(case.method).identity_at_init, f"in {'training' if mode else 'evaluation'} mode"


def test_every_trainable_tensor_has_a_gradient_within_two_steps(case: Case) -> None:
    _check_every_tensor_learns(case)


def test_every_trainable_tensor_has_a_gradient_with_any_choice(variant: Case) -> None:
    _check_every_tensor_learns(variant)


def test_no_supported_layer_is_without_effect(everywhere: Case) -> None:
    _check_every_tensor_learns(everywhere)


def _check_every_tensor_learns(case: Case) -> None:
    attached = case.attach().train()
    assert attached.unused_parameters(), "before any backward pass nothing has a gradient"
    waiting = dict(attached.named_parameters())
    may_skip = any(getattr(layer, "may_skip_steps", False) for layer in attached.module.modules())
    optimizer = observing.make_optimizer(attached)
    for number in range(MAX_STEPS if may_skip else 2):
        optimizer.zero_grad()
        observing.backward_pass(attached, random_images(case.family, seed=number))
        assert attached.unused_parameters() == ()
        waiting = {n: p for n, p in waiting.items() if p.grad is None or not p.grad.any()}
        optimizer.step()
    assert list(waiting) == []


def test_only_declared_tensors_change(case: Case) -> None:
    plain = build_backbone(case.family)
    base = observing.all_tensors(plain)
    values = observing.clone_tensors(base)
    attached = case.attach_to(plain)
    assert observing.changed_names(base, values) == []
    within = observing.all_tensors(plain)
    start = observing.clone_tensors(within)
    declared = {id(tensor) for *_, tensor in attached.named_tensors()}
    observing.train_briefly(attached, case.family)
    moved = observing.changed_names(within, start)
    assert [name for name in moved if id(within[name]) not in declared] == []
    assert {id(p) for p in attached.parameters()} <= {id(within[name]) for name in moved}
    assert observing.changed_names(base, values) == []
    attached.detach()
    assert observing.changed_names(observing.all_tensors(plain), values) == []


def test_trainable_parameters_require_a_gradient(case: Case) -> None:
    attached = case.attach()
    listed = [id(p) for p in attached.parameters()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in attached.module.parameters() if p.requires_grad}


def test_detach_restores_the_module_tree(case: Case) -> None:
    plain = build_backbone(case.family)
    before = observing.logits(plain, case.family)
    plain.train()
    next(plain.children()).eval()
    next(plain.parameters()).requires_grad_(False)
    tree = observing.ModuleSnapshot(plain)
    attached = case.attach_to(plain)
    observing.train_briefly(attached, case.family)
    attached.detach()
    assert tree.differences() == []
    assert observing.same_bytes(observing.logits(plain.eval(), case.family), before)


def test_disabled_it_is_the_plain_backbone(case: Case) -> None:
    before = observing.logits(build_backbone(case.family), case.family)
    attached = case.trained()
    after = observing.logits(attached.module, case.family)
    assert not observing.same_bytes(after, before)
    attached.enabled = False
    assert observing.same_bytes(observing.logits(attached.module, case.family), before)
    attached.enabled = True
    assert observing.same_bytes(observing.logits(attached.module, case.family), after)


def test_the_count_is_the_same_on_the_meta_device(case: Case) -> None:
    _check_same_counts(case)


def test_the_count_is_the_same_with_any_choice(variant: Case) -> None:
    _check_same_counts(variant)


def _check_same_counts(case: Case) -> None:
    attached = case.attach()
    counts = attached.parameter_counts()
    assert case.attach(meta=True).parameter_counts() == counts
    parameters = list(attached.module.parameters())
    assert counts.trainable_parameters == sum(p.numel() for p in parameters if p.requires_grad)
    assert counts.total_parameters == sum(p.numel() for p in parameters)
    assert counts.adapter_bytes == sum(t.numel() * t.element_size() for t in attached.state_dict().values())
    assert counts.attachments[0].matched


def test_batch_norm_stays_frozen(case: Case) -> None:
    attached = case.attach().train()
    frozen = [layer for layer in attached.module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    means = [layer.running_mean.clone() for layer in frozen if layer.running_mean is not None]
    observing.backward_pass(attached, random_images(case.family))
    assert not any(layer.training for layer in frozen)
    assert all(torch.equal(layer.running_mean, mean) for layer, mean in zip(frozen, means, strict=True))


def test_two_attachments_of_one_method_stack_or_are_rejected(home: Case) -> None:
    first = home.attachment.model_copy(update={"name": "first"})
    second = home.attachment.model_copy(update={"name": "second"})
    plain = build_backbone(home.family)
    tree = observing.ModuleSnapshot(plain)
    refusal = None
    try:
        attached = attach(plain, [first, second], layers=backbone_layers(home.family))
    except StudioError as error:
        refusal = str(error)
    else:
        observing.train_briefly(attached, home.family).detach()
    assert refusal is None or observing.is_sentence(refusal)
    assert tree.differences() == []
