"""Attaching to any module: errors leave it unchanged, and unused layers are reported."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers import StdConv2d
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.peft import (
    METHODS,
    AdaptedLayer,
    AdaptedModel,
    Attachment,
    AttachmentSite,
    DefaultSites,
    Method,
    MethodConfig,
    attach,
)
from studio.testing import observing
from studio.testing.families import build_backbone, random_images


def lora(*at: str, name: str = "lora", **fields: Any) -> Attachment:
    return Attachment(name=name, method="lora", at=at, config=fields)


class Bypass(nn.Module):
    """Reads the weight of one of its layers, as some networks do, and never calls the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(4, 4)
        self.called = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.called(nn.functional.linear(x, self.read.weight, self.read.bias))


class Gain(AdaptedLayer):
    """Multiplies by a trained number."""

    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base)
        self.gain = nn.Parameter(torch.ones(1, **site.factory_kwargs))

    def forward_adapted(self, x: Tensor) -> Tensor:
        return self.base_layer(x) * self.gain


class Faulty(Method[MethodConfig]):
    """Fails at the second layer that it is attached to."""

    name, label, family, summary, paper = "faulty", "Faulty", "scaling", "Fails half way.", ""
    Config = MethodConfig
    default_sites = (DefaultSites((Role.OTHER,)),)

    def unsupported_reason(self, layer: Layer, config: MethodConfig, slices: tuple[str, ...]) -> str:
        return "" if layer.kind == "linear" else "This is no linear layer."

    def attach(self, site: AttachmentSite[MethodConfig]) -> None:
        if site.shared:
            raise RuntimeError("half way")
        site.shared["seen"] = True
        site.replace(lambda base: Gain(base, site))


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert METHODS.get("lora")
    monkeypatch.setitem(METHODS._items, "faulty", Faulty())


REFUSED: dict[str, tuple[Attachment, str]] = {
    "unknown method": (Attachment(name="a", method="nope", at=("0",)), "There is no PEFT method called 'nope'"),
    "wrong field": (lora("0", rank=0), "rank"),
    "unknown field": (lora("0", color=1), "color is not a known key"),
    "no layer": (lora("blocks.*.attn.qkv"), "No layer matches blocks"),
    "no accepted layer": (lora("1"), "lora does not support the layer that 1 matches"),
    "no slices": (
        Attachment(name="a", method="lora", at=("0",), slices=("q",)),
        "no q, k and v slices",
    ),
}


@pytest.mark.parametrize(("attachment", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_attached_is_refused_with_a_sentence(attachment: Attachment, words: str) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    tree = observing.ModuleSnapshot(module)
    with pytest.raises(StudioError, match=words) as raised:
        attach(module, [lora("2", name="good"), attachment])
    assert observing.is_sentence(raised.value)
    assert tree.differences() == []


@pytest.mark.usefixtures("faulty")
def test_a_method_that_fails_half_way_leaves_nothing_behind() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).train()
    tree = observing.ModuleSnapshot(module)
    with pytest.raises(RuntimeError, match="half way"):
        attach(module, [lora("0"), Attachment(name="f", method="faulty", at=("*",))])
    assert tree.differences() == []


def test_what_has_attachments_is_not_attached_to_again() -> None:
    module = nn.Sequential(nn.Linear(4, 4))
    attached = attach(module, [lora("0")])
    with pytest.raises(StudioError, match="already has attachments"):
        attach(module, [lora("0")])
    attached.detach()
    assert attach(module, [lora("0")]).parameter_counts().trainable_parameters == 64


def test_a_switched_off_attachment_is_left_out() -> None:
    module = nn.Sequential(nn.Linear(4, 4))
    off = Attachment(name="off", method="not-installed", at=("0",), enabled=False)
    assert [a.name for a in attach(module, [off, lora("0")]).parameter_counts().attachments] == ["lora"]


def test_without_the_head_only_attachments_train() -> None:
    attached = attach(build_backbone("vit"), [lora("blocks.0.attn.qkv")], head=False)
    assert not attached.has_head
    assert attached.parameter_counts().head_parameters == 0
    assert {name.split("/")[0] for name in attached.state_dict()} == {"lora"}


def test_names_are_those_of_attachment_layer_and_tensor() -> None:
    attached = attach(build_backbone("vit"), [lora("blocks.1.mlp.fc1", rank=2)])
    assert list(attached.state_dict()) == [
        "head/head/weight",
        "head/head/bias",
        "lora/blocks.1.mlp.fc1/lora_A",
        "lora/blocks.1.mlp.fc1/lora_B",
    ]


def test_one_of_two_on_a_layer_is_switched_off_alone() -> None:
    attached = attach(
        build_backbone("vit"), [lora("blocks.0.mlp.fc1"), lora("blocks.0.mlp.fc1", name="other")], head=False
    )
    observing.train_briefly(attached, "vit")
    both = observing.logits(attached.module, "vit")
    attached.set_enabled("other", False)
    one = observing.logits(attached.module, "vit")
    attached.set_enabled("lora", False)
    assert observing.same_bytes(
        observing.logits(attached.module, "vit"), observing.logits(build_backbone("vit"), "vit")
    )
    attached.enabled = True
    assert observing.same_bytes(observing.logits(attached.module, "vit"), both)
    assert not observing.same_bytes(one, both)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("lora/0/lora_A"), "has no lora/0/lora_A"),
        (lambda state: state.update(stranger=torch.zeros(1)), "unexpected stranger"),
        (lambda state: state.update({"lora/0/lora_A": torch.zeros(1, 4)}), r"lora/0/lora_A in the adapter is \(1, 4\)"),
        (lambda state: state["lora/0/lora_B"].fill_(torch.nan), "not finite"),
        (lambda state: state.update({"lora/0/lora_B": torch.ones(4, 8).int()}), "torch.int32"),
        (lambda state: state.update({"lora/0/lora_B": torch.full((4, 8), 1e300, dtype=torch.float64)}), "not finite"),
    ],
    ids=["missing", "extra", "misshapen", "nan", "whole numbers", "out of range"],
)
def test_tensors_that_do_not_fit_change_nothing(change: Callable[[dict[str, Tensor]], Any], words: str) -> None:
    attached = attach(nn.Sequential(nn.Linear(4, 4)), [lora("0")])
    before = observing.clone_tensors(attached.state_dict())
    state = {name: torch.ones_like(tensor) for name, tensor in before.items()}
    change(state)
    with pytest.raises(StudioError, match=words):
        attached.load_state_dict(state)
    assert observing.changed_names(attached.state_dict(), before) == []


def test_a_layer_that_is_read_and_not_called_is_found() -> None:
    attached = attach(Bypass(), [lora("read"), lora("called", name="good")]).train()
    attached.module(torch.ones(1, 4)).sum().backward()
    assert attached.unused_parameters() == ("lora/read/lora_A", "lora/read/lora_B")
    with pytest.raises(StudioError, match="lora has no effect in read:") as raised:
        attached.check_all_used()
    assert raised.value.code == "unused-layer"
    assert observing.is_sentence(raised.value)


def test_a_layer_that_is_called_is_used() -> None:
    attached = attach(Bypass(), [lora("called")]).train()
    attached.module(torch.ones(1, 4)).sum().backward()
    assert attached.unused_parameters() == ()
    attached.check_all_used()


@pytest.mark.parametrize("family", ["beit", "eva02-fused", "swinv2"])
def test_a_bypassed_qkv_is_found_when_its_switch_is_off(family: str) -> None:
    attached = attach(build_backbone(family), [lora("**.qkv")]).train()
    _backward(attached, family)
    assert attached.unused_parameters() == ()
    for layer in attached.module.modules():
        if getattr(layer, "qkv_bias_separate", None) is True and not isinstance(layer, AdaptedLayer):
            layer.qkv_bias_separate = False
    _backward(attached, family)
    assert {name.rpartition(".")[2] for name in attached.unused_parameters()} == {"qkv/lora_A", "qkv/lora_B"}


def _backward(attached: AdaptedModel, family: str) -> None:
    for parameter in attached.parameters():
        parameter.grad = None
    observing.backward_pass(attached, random_images(family))


def test_torch_attention_refuses_before_it_is_dead() -> None:
    module = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2))
    with pytest.raises(StudioError, match="MultiheadAttention"):
        attach(module, [lora("0.self_attn.out_proj")])
    with pytest.raises(StudioError, match="TransformerEncoderLayer"):
        attach(module, [lora("0.linear1")])
    assert [a.matched for a in attach(module, [lora("**")]).parameter_counts().attachments] == [("1",)]


def test_a_standardised_convolution_is_refused_by_what_needs_its_weight() -> None:
    module = nn.Sequential(StdConv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    with pytest.raises(StudioError, match="StdConv2d"):
        attach(module, [lora("0")])
    census = attach(module, [lora("*")]).parameter_counts().attachments[0]
    assert census.matched == ("1",)
    assert [skipped.path for skipped in census.skipped] == ["0"]


def test_a_layer_at_two_places_is_trained_at_both() -> None:
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.Tanh(), shared)
    tree = observing.ModuleSnapshot(module)
    attached = attach(module, [lora("*")]).train()
    attached.module(torch.ones(1, 4)).sum().backward()
    assert attached.unused_parameters() == ()
    attached.detach()
    assert tree.differences() == []


@pytest.mark.parametrize("name", ["lora", "head"])
def test_names_that_are_taken_are_refused(name: str) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tree = observing.ModuleSnapshot(module)
    with pytest.raises(StudioError, match=f"{name}' is already in use"):
        attach(module, [lora("0"), lora("1", name=name)])
    assert tree.differences() == []


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "ssf"])
def test_a_layer_at_two_places_merges_differently_at_both(method: str) -> None:
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.Tanh(), shared)
    attached = attach(module, [Attachment(name="a", method=method, at=("*",))]).eval()
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(8, 4)
    assert observing.largest_difference(attached.merge()(x), module(x)) < 1e-5


def test_tied_weights_train_as_one() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    tree = observing.ModuleSnapshot(module)
    attached = attach(module, [Attachment(name="a", method="full", at=(".",))])
    assert module[0].weight is module[1].weight
    assert list(attached.state_dict()) == ["a/0/weight", "a/0/bias", "a/1/bias"]
    assert attached.parameter_counts().trainable_parameters == attached.parameter_counts().total_parameters == 24
    merged = attached.merge()
    assert merged[0].weight is merged[1].weight
    attached.detach()
    assert tree.differences() == []


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_a_weight_that_is_made_at_each_call_is_refused(method: str) -> None:
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    with pytest.raises(StudioError, match="ParametrizedLinear"):
        attach(module, [Attachment(name="a", method=method, at=("0",))])
    attached = attach(module, [Attachment(name="a", method=method, at=("*",))])
    assert attached.parameter_counts().attachments[0].matched == ("1",)


@pytest.mark.parametrize(("module", "method"), [(nn.Linear(4, 4), "lora"), (nn.LayerNorm(4), "ssf")])
def test_nothing_stands_in_the_place_of_the_backbone(module: nn.Module, method: str) -> None:
    tree = observing.ModuleSnapshot(module)
    with pytest.raises(StudioError, match=r"nn\.Sequential"):
        attach(module, [Attachment(name="a", method=method, at=(".",))])
    assert tree.differences() == []
