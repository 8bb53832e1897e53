"""Strength: 0 disables an attachment, 1 is as trained, and merging applies it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from studio.core.errors import StudioError
from studio.peft import METHODS, AdaptedModel, Attachment, attach
from studio.testing.cases import Case, accepted
from studio.testing.families import build_backbone, random_images

FAMILIES = ("vit", "beit", "swinv2", "convnext", "resnet")


def cases() -> Iterator[Case]:
    return (case for case in accepted([m.name for m in METHODS]) if case.family in FAMILIES)


def moved(case: Case) -> tuple[AdaptedModel, str]:
    """The method with every tensor moved well away from where it begins."""
    torch.manual_seed(0)
    attached = case.attach()
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return attached.eval(), case.attachment.name


@torch.no_grad()
def answer(attached: AdaptedModel, case: Case) -> Tensor:
    return attached.module(random_images(case.family, 2))


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_strength_goes_from_switched_off_to_as_trained_or_is_refused(case: Case) -> None:
    attached, name = moved(case)
    whole = answer(attached, case)
    if attached.not_scalable_reason(name):
        with pytest.raises(StudioError):
            attached.set_strength(name, 0.5)
        assert torch.equal(answer(attached, case), whole)
        return
    attached.set_strength(name, 0.5)
    half = answer(attached, case)
    attached.set_strength(name, 0.0)
    none = answer(attached, case)
    attached.set_enabled(name, False)
    off = answer(attached, case)
    attached.set_enabled(name, True)
    scale = float(whole.abs().max())
    assert float((none - off).abs().max()) < 1e-4 * scale
    assert not torch.equal(half, whole)
    assert not torch.allclose(half, off)
    attached.set_strength(name, 1.0)
    assert torch.equal(answer(attached, case), whole)


@pytest.mark.parametrize("case", [c for c in cases() if not METHODS.get(c.method).not_mergeable_reason], ids=str)
def test_a_merged_backbone_answers_by_the_strength_that_was_chosen(case: Case) -> None:
    attached, name = moved(case)
    if attached.not_scalable_reason(name):
        pytest.skip("it has no strength")
    attached.set_strength(name, 0.5)
    expected = answer(attached, case)
    with torch.no_grad():
        got = attached.merge()(random_images(case.family, 2))
    assert float((got - expected).abs().max()) < 1e-4 * float(expected.abs().max())


def test_two_on_one_layer_have_strengths_of_their_own() -> None:
    two = [Attachment(name=n, method="lora", at=("blocks.*.attn.qkv",), slices=("q", "v")) for n in ("one", "two")]
    attached = attach(build_backbone("vit"), two)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    attached.set_strength("one", 2.0)
    attached.set_strength("two", 0.25)
    expected = attached.module(random_images("vit"))
    assert (attached.strength("one"), attached.strength("two")) == (2.0, 0.25)
    assert torch.allclose(attached.merge()(random_images("vit")), expected, atol=1e-4)
    layer = attached.module.blocks[0].attn.qkv
    delta = attached.merge().blocks[0].attn.qkv.weight - layer.unwrapped.weight
    assert torch.allclose(delta, 2.0 * layer.base_layer.delta_weight() + 0.25 * layer.delta_weight(), atol=1e-5)


def test_what_is_switched_off_does_not_stand_in_the_way_of_merging() -> None:
    attached = attach(
        build_backbone("vit"),
        [
            Attachment(name="low", method="lora", at=("blocks.*.attn.qkv",)),
            Attachment(name="wide", method="houlsby", at=("blocks.*.mlp",)),
        ],
    )
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    with pytest.raises(StudioError, match="cannot be merged"):
        attached.merge()
    attached.set_enabled("wide", False)
    with torch.no_grad():
        assert torch.allclose(attached.merge()(random_images("vit")), attached.module(random_images("vit")), atol=1e-4)


def test_wrong_strengths_are_refused() -> None:
    attached = attach(build_backbone("vit"), [Attachment(name="low", method="lora", at=("blocks.*.attn.qkv",))])
    with pytest.raises(StudioError, match="from 0 to 2"):
        attached.set_strength("low", 2.5)
    with pytest.raises(StudioError, match="The head has no strength"):
        attached.set_strength("head", 0.5)
