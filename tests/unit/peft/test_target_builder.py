"""Attachments for several targets at once, layers of one kind, and block ranges."""

import pytest

from studio.core.errors import StudioError
from studio.peft.contract import METHODS
from studio.peft.target_builder import build_attachments, exclude_paths, restrict_to_blocks, same_kind
from studio.peft.target_matching import match_targets
from studio.peft.targets import minimal_patterns
from studio.testing.families import backbone_layers


def placed(method, places, family="vit", **more):
    return build_attachments(METHODS.get(method), backbone_layers(family), places, **more)


def row(path, family="vit"):
    return next(layer for layer in backbone_layers(family) if layer.path == path)


def blocks(family="vit"):
    return sorted({layer.block for layer in backbone_layers(family) if layer.block is not None})


def test_several_places_of_one_kind_make_one_attachment():
    (one,) = placed("lora", [("blocks.0", None), ("blocks.1", None)])
    assert {layer.path for layer in match_targets(one, backbone_layers("vit")).matched} == {
        "blocks.0.attn.qkv",
        "blocks.1.attn.qkv",
    }
    assert one.slices == ("q", "v")


def test_a_qkv_and_another_layer_make_an_attachment_each_since_only_one_has_slices():
    qkv, fc1 = placed("lora", [("blocks.0.attn.qkv", None), ("blocks.0.mlp.fc1", None)], taken_names=["lora"])
    assert (qkv.name, qkv.slices) == ("lora-2", ("q", "v"))
    assert (fc1.name, fc1.slices, fc1.at) == ("lora-3", (), ("blocks.0.mlp.fc1",))


def test_a_method_that_mixes_slices_stays_one_attachment():
    (one,) = placed("ia3", [("", None)])
    assert one.slices == ("k", "v")
    assert len(match_targets(one, backbone_layers("vit")).matched) == 2 * len(blocks())


def test_the_same_slice_of_several_layers_is_one_attachment():
    (one,) = placed("lora", [("blocks.0.attn.qkv", "k"), ("blocks.1.attn.qkv", "k"), ("blocks.1.attn.qkv", "q")][:2])
    assert one.slices == ("k",)
    assert len(match_targets(one, backbone_layers("vit")).matched) == 2


def test_what_refuses_is_left_out_where_something_else_accepts():
    (one,) = placed("lora", [("head", None), ("blocks.0", None)])
    assert one.at == ("blocks.0.attn.qkv",)


def test_where_nothing_accepts_the_reason_is_told():
    with pytest.raises(StudioError, match="head is trained as a whole"):
        placed("lora", [("head", None)])
    with pytest.raises(StudioError, match="none of the chosen layers"):
        placed("lora", [("nowhere", None)])


def test_fields_and_slices_travel_with_a_copy():
    (one,) = placed("lora", [("blocks.1", None)], config={"rank": 3}, slices=("k",))
    assert one.config["rank"] == 3
    assert one.slices == ("k",)


def test_layers_of_one_kind_are_those_at_the_same_place_in_each_block():
    found = same_kind(row("blocks.0.mlp.fc1"), backbone_layers("vit"))
    assert [layer.path for layer in found] == [f"blocks.{n}.mlp.fc1" for n in blocks()]
    assert same_kind(row("patch_embed.proj"), backbone_layers("vit")) == (row("patch_embed.proj"),)


def test_a_layer_is_taken_out_of_an_attachment_and_the_last_one_takes_it_away():
    (one,) = placed("lora", [("", None)])
    matched = match_targets(one, backbone_layers("vit")).matched
    fewer = exclude_paths(one, [matched[0].path], matched, backbone_layers("vit"))
    assert match_targets(fewer, backbone_layers("vit")).matched == matched[1:]
    assert exclude_paths(one, [layer.path for layer in matched], matched, backbone_layers("vit")) is None


def test_a_rule_for_some_blocks_names_those_alone_and_one_for_all_stays_as_it_was_written():
    rows, last = backbone_layers("vit"), blocks()[-1]
    assert restrict_to_blocks(["attn.qkv"], 0, last, rows) == ("**.attn.qkv",)
    assert restrict_to_blocks(["blocks.*.attn.qkv"], 0, last, rows) == ("blocks.*.attn.qkv",)
    assert restrict_to_blocks(["qkv"], last, last, rows) == (f"blocks.{last}.attn.qkv",)
    assert restrict_to_blocks(["nowhere"], 0, 0, rows) == ()


def test_paths_with_a_gap_become_a_pattern_for_each_run():
    paths = [f"blocks.{n}.attn.qkv" for n in (0, 1, 3, 4, 5, 8)]
    rows = [row_of for row_of in backbone_layers("vit") if row_of.path == ""]
    from dataclasses import replace

    ten = [replace(rows[0], path=f"blocks.{n}.attn.qkv") for n in range(10)]
    assert minimal_patterns(paths, ten) == ("blocks.{0..1}.attn.qkv", "blocks.{3..5}.attn.qkv", "blocks.8.attn.qkv")
