"""Merging a trained method into the backbone's weights."""

import pytest

from studio.core.errors import StudioError
from studio.peft import METHODS
from studio.testing import observing
from studio.testing.cases import Case
from studio.testing.families import FAMILIES, build_backbone

TOLERANCE = 1e-5


def test_merged_is_unmerged(case: Case) -> None:
    _check_merge(case)


def test_merged_is_unmerged_with_any_choice(variant: Case) -> None:
    _check_merge(variant)


def test_merged_is_unmerged_on_every_supported_layer(everywhere: Case) -> None:
    _check_merge(everywhere)


def _check_merge(case: Case) -> None:
    attached = case.trained()
    refusal = METHODS.get(case.method).not_mergeable_reason
    if refusal:
        with pytest.raises(StudioError) as raised:
            attached.merge()
        assert observing.is_sentence(raised.value)
        return
    before = observing.clone_tensors(observing.all_tensors(attached.module))
    expected = observing.logits(attached.module, case.family)
    merged = attached.merge()
    assert observing.changed_names(observing.all_tensors(attached.module), before) == []
    plain = build_backbone(case.family)
    assert [(path, type(layer)) for path, layer in merged.named_modules()] == [
        (path, type(layer)) for path, layer in plain.named_modules()
    ]
    assert observing.largest_difference(expected, observing.logits(merged, case.family)) < TOLERANCE
    fresh = FAMILIES[case.family].make().eval()
    fresh.load_state_dict(merged.state_dict())
    assert observing.largest_difference(expected, observing.logits(fresh, case.family)) < TOLERANCE
    assert observing.largest_difference(expected, observing.logits(plain, case.family)) > TOLERANCE
