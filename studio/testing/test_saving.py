"""The adapter on disk: restored bit for bit; a damaged or foreign one is rejected with nothing changed."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.backbones.layer_roles import classifier_paths
from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.peft.adapter_file import MANIFEST_NAME, TENSORS_NAME, load_adapter, read_manifest, save_adapter
from studio.testing import observing
from studio.testing.cases import Case
from studio.testing.families import build_backbone


def test_saved_and_loaded_bit_for_bit(sampled: Case, tmp_path: Path) -> None:
    _check_round_trip(sampled, tmp_path)


def test_saved_and_loaded_with_any_choice(variant: Case, tmp_path: Path) -> None:
    _check_round_trip(variant, tmp_path)


def _check_round_trip(case: Case, folder: Path) -> None:
    attached = case.trained()
    _save(attached, case, folder)
    loaded = load_adapter(_with_another_head(case.family), folder)
    expected = observing.logits(attached.module, case.family)
    assert observing.same_bytes(observing.logits(loaded.module, case.family), expected)
    assert loaded.state_dict().keys() == attached.state_dict().keys()
    assert read_manifest(folder).metadata == {"labels": ["a", "b"]}


def _save(attached: observing.AdaptedModel, case: Case, folder: Path) -> None:
    save_adapter(
        attached, [case.attachment], folder, weights_digest(build_backbone(case.family)), {"labels": ["a", "b"]}
    )


def _with_another_head(family: str) -> nn.Module:
    module = build_backbone(family)
    for path in classifier_paths(module):
        for parameter in module.get_submodule(path).parameters():
            nn.init.normal_(parameter)
    return module


def _tensors(change: Callable[[dict[str, Tensor], str], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        state = load_file(folder / TENSORS_NAME)
        change(state, next(iter(state)))
        save_file(state, folder / TENSORS_NAME)

    return damage


def _oversized_header(folder: Path) -> None:
    (folder / TENSORS_NAME).write_bytes(struct.pack("<Q", 1 << 40) + b"{" + bytes(64))


def _cut_short(folder: Path) -> None:
    whole = (folder / TENSORS_NAME).read_bytes()
    (folder / TENSORS_NAME).write_bytes(whole[: len(whole) // 2])


def _no_tensors(folder: Path) -> None:
    (folder / TENSORS_NAME).unlink()


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()


def _broken_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).write_text('{"format": 1')


def _unknown_method(folder: Path) -> None:
    raw = json.loads((folder / MANIFEST_NAME).read_text())
    raw["attachments"][0]["method"] = "not-installed"
    (folder / MANIFEST_NAME).write_text(json.dumps(raw))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": _tensors(lambda state, name: state.pop(name)),
    "extra": _tensors(lambda state, name: state.update(stranger=torch.zeros(1))),
    "misshapen": _tensors(lambda state, name: state.update({name: torch.zeros(3, *state[name].shape)})),
    "nan": _tensors(lambda state, name: state[name].view(-1)[:1].fill_(float("nan"))),
    "infinite": _tensors(lambda state, name: state[name].view(-1)[:1].fill_(float("inf"))),
    "oversized header": _oversized_header,
    "cut short": _cut_short,
    "no tensors": _no_tensors,
    "no description": _no_manifest,
    "broken description": _broken_manifest,
    "unknown method": _unknown_method,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_adapter_is_rejected(home: Case, damage: Callable[[Path], None], tmp_path: Path) -> None:
    _save(home.attach(), home, tmp_path)
    damage(tmp_path)
    _check_rejected(build_backbone(home.family), tmp_path)


def test_another_backbone_is_rejected(home: Case, tmp_path: Path) -> None:
    _save(home.attach(), home, tmp_path)
    other = build_backbone(home.family)
    with torch.no_grad():
        next(p for p in other.parameters() if p.ndim > 1).view(-1)[0] += 1
    _check_rejected(other, tmp_path)


def _check_rejected(module: nn.Module, folder: Path) -> None:
    tree = observing.ModuleSnapshot(module)
    values = observing.clone_tensors(observing.all_tensors(module))
    with pytest.raises(StudioError) as raised:
        load_adapter(module, folder)
    assert observing.is_sentence(raised.value)
    assert tree.differences() == []
    assert observing.changed_names(observing.all_tensors(module), values) == []
