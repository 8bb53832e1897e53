"""Patterns over layer paths, and the default targets of methods."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.peft import METHODS
from studio.peft.targets import default_attachment, match_layers, minimal_patterns, unique_name, unsupported_reason
from studio.testing.families import backbone_layers


def row(path: str) -> Layer:
    return Layer(path=path, type="Linear", kind="linear", role=Role.OTHER, parameters=0, own_parameters=0)


BLOCKS = [row(""), row("patch_embed.proj"), row("norm")] + [
    row(f"blocks.{i}.{name}") for i in range(12) for name in ("attn", "attn.qkv", "attn.proj", "mlp.fc1")
]


def matched(*patterns: str) -> list[str]:
    return [layer.path for layer in match_layers(patterns, BLOCKS)]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("", [""]),
        (".", [""]),
        ("norm", ["norm"]),
        ("blocks.1.attn.qkv", ["blocks.1.attn.qkv"]),
        ("blocks.*.attn.qkv", [f"blocks.{i}.attn.qkv" for i in range(12)]),
        ("blocks.{6..8}.attn", ["blocks.6.attn", "blocks.7.attn", "blocks.8.attn"]),
        ("blocks.{10..99}.attn", ["blocks.10.attn", "blocks.11.attn"]),
        ("blocks.{8..6}.attn", []),
        ("**.qkv", [f"blocks.{i}.attn.qkv" for i in range(12)]),
        ("blocks.3.**", ["blocks.3.attn", "blocks.3.attn.qkv", "blocks.3.attn.proj", "blocks.3.mlp.fc1"]),
        ("**", [layer.path for layer in BLOCKS]),
        ("**.proj", ["patch_embed.proj", *(f"blocks.{i}.attn.proj" for i in range(12))]),
        ("*", ["norm"]),
        ("*.proj", ["patch_embed.proj"]),
        ("blocks.1?.attn", []),
        ("blocks.[12].attn", []),
        ("norm.", []),
        ("blocks.{.attn", []),
        ("or", []),
    ],
)
def test_what_a_pattern_matches(pattern: str, paths: list[str]) -> None:
    assert matched(pattern) == paths


def test_several_patterns_match_in_the_order_of_the_tree_and_once() -> None:
    assert matched("norm", "patch_embed.*", "**.proj")[:2] == ["patch_embed.proj", "norm"]
    assert len(matched("**.proj", "blocks.*.attn.proj")) == 13


@pytest.mark.parametrize("pattern", ["blocks.{0..999999999999}.attn", "**." * 40 + "x", "*" * 200 + "x"])
def test_a_strangers_pattern_takes_no_time(pattern: str) -> None:
    begun = time.perf_counter()
    matched(pattern)
    assert time.perf_counter() - begun < 1


@given(st.sets(st.sampled_from([layer.path for layer in BLOCKS if layer.path]), min_size=1))
def test_shortened_patterns_match_exactly_what_they_stand_for(paths: set[str]) -> None:
    assert set(matched(*minimal_patterns(sorted(paths), BLOCKS))) == paths


def test_numbers_are_shortened() -> None:
    assert minimal_patterns([f"blocks.{i}.attn.qkv" for i in range(12)], BLOCKS) == ("blocks.*.attn.qkv",)
    assert minimal_patterns([f"blocks.{i}.attn.qkv" for i in range(6, 12)], BLOCKS) == ("blocks.{6..11}.attn.qkv",)
    assert minimal_patterns(["blocks.1.attn", "blocks.3.attn"], BLOCKS) == ("blocks.1.attn", "blocks.3.attn")
    assert minimal_patterns(["norm"], BLOCKS) == ("norm",)


def test_unused_names() -> None:
    assert unique_name("lora", []) == "lora"
    assert unique_name("lora", ["lora", "lora-3"]) == "lora-2"
    assert unique_name("lora", ["lora", "lora-2"]) == "lora-3"


@pytest.mark.parametrize(
    ("family", "under", "at", "slices"),
    [
        ("vit", "", ("blocks.*.attn.qkv",), ("q", "v")),
        ("vit", "blocks.1", ("blocks.1.attn.qkv",), ("q", "v")),
        ("vit", "blocks.1.attn.qkv", ("blocks.1.attn.qkv",), ("q", "v")),
        ("vit", "blocks.1.attn.proj", ("blocks.1.attn.proj",), ()),
        ("vit", "blocks.1.mlp", ("blocks.1.mlp.fc1", "blocks.1.mlp.fc2"), ()),
        ("vit", "patch_embed", ("patch_embed.proj",), ()),
        ("eva02", "", ("blocks.*.attn.q_proj", "blocks.*.attn.v_proj"), ()),
        ("swin", "", ("layers.*.blocks.*.attn.qkv",), ("q", "v")),
        ("swin", "layers.0", ("layers.0.blocks.*.attn.qkv",), ("q", "v")),
    ],
)
def test_what_a_drop_of_lora_means(family: str, under: str, at: tuple[str, ...], slices: tuple[str, ...]) -> None:
    found = default_attachment(METHODS.get("lora"), backbone_layers(family), target=under)
    assert (found.at, found.slices) == (at, slices)
    assert found.name == "lora"


def test_a_drop_takes_an_unused_name_and_the_given_fields() -> None:
    found = default_attachment(METHODS.get("lora"), backbone_layers("vit"), taken_names=["lora"], config={"rank": 2})
    assert (found.name, found.config["rank"]) == ("lora-2", 2)


@pytest.mark.parametrize("under", ["head", "norm", "blocks.0.mlp.act", "blocks.0.norm1"])
def test_a_drop_where_it_cannot_go_is_answered_with_the_reason(under: str) -> None:
    with pytest.raises(StudioError, match=r"[a-z].*\.$"):
        default_attachment(METHODS.get("lora"), backbone_layers("vit"), target=under)


def test_a_drop_on_no_layer_is_refused() -> None:
    with pytest.raises(StudioError, match="no layer 'nowhere'"):
        default_attachment(METHODS.get("lora"), backbone_layers("vit"), target="nowhere")


def test_reasons_of_the_engine_come_before_those_of_the_method() -> None:
    lora, rows = METHODS.get("lora"), {layer.path: layer for layer in backbone_layers("vit")}
    config = lora.configure({})
    assert "head" in unsupported_reason(lora, rows["head"], config, ())
    assert "q, k and v" in unsupported_reason(lora, rows["blocks.0.mlp.fc1"], config, ("q",))
    assert unsupported_reason(lora, rows["blocks.0.attn.qkv"], config, ("q",)) == ""
