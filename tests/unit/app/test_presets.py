"""Presets: each fits a backbone, or gives the reason why it does not."""

import pytest

from studio.app.presets import fit_to_backbone, get_preset, presets
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.peft.target_matching import match_targets
from studio.testing.families import backbone_layers


@pytest.mark.parametrize("one", presets(), ids=lambda one: one.name)
def test_each_preset_is_a_recipe_with_words_and_fits_a_vision_transformer(one):
    assert isinstance(one.recipe, Recipe)
    assert one.label
    assert one.summary.endswith(".")
    if one.last_blocks:
        return
    for attachment in fit_to_backbone(one, backbone_layers("vit")):
        found = match_targets(attachment, backbone_layers("vit"))
        assert found.matched
        assert not found.skipped


@pytest.mark.parametrize("family", ["vit", "swin", "convnext", "resnet"])
@pytest.mark.parametrize("one", presets(), ids=lambda one: one.name)
def test_on_any_family_a_preset_fits_without_a_miss_or_says_why_not(one, family):
    try:
        made = fit_to_backbone(one, backbone_layers(family))
    except StudioError as error:
        made, why = (), str(error)
    else:
        why = "."
    assert why.endswith(".")
    assert all(not match_targets(a, backbone_layers(family)).problem for a in made)
    assert all(not match_targets(a, backbone_layers(family)).skipped for a in made)


def test_patterns_that_fit_stay_and_others_give_way_to_the_layers_that_are_meant():
    (vit,) = fit_to_backbone(get_preset("lora-qv"), backbone_layers("vit"))
    (swin,) = fit_to_backbone(get_preset("lora-qv"), backbone_layers("swin"))
    assert vit.at == ("blocks.*.attn.qkv",)
    assert all(path.startswith("layers.") for path in swin.at)
    assert vit.slices == swin.slices == ("q", "v")
    assert vit.config["alpha"] == 16.0


def deep(number):
    """Rows of a network of as many blocks."""
    from dataclasses import replace

    rows = backbone_layers("vit")
    block = next(layer for layer in rows if layer.path == "blocks.0")
    return (rows[0], *(replace(block, path=f"blocks.{n}", block=n) for n in range(number)))


def test_the_last_blocks_are_counted_from_the_end():
    (one,) = fit_to_backbone(get_preset("last-4-blocks"), deep(12))
    assert one.at == ("blocks.{8..11}",)


def test_a_preset_has_the_same_layers_under_any_name():
    (one,) = fit_to_backbone(get_preset("last-4-blocks"), deep(12), taken_names=["full"])
    assert (one.name, one.at) == ("full-2", ("blocks.{8..11}",))


def test_a_network_of_fewer_blocks_says_how_many_it_has():
    with pytest.raises(StudioError, match="the backbone has only 3 blocks"):
        fit_to_backbone(get_preset("last-4-blocks"), deep(3))


def test_a_preset_goes_into_the_part_that_it_is_dropped_on_and_takes_a_free_name():
    (one,) = fit_to_backbone(get_preset("lora-qv"), backbone_layers("vit"), under=["blocks.1"], taken_names=["lora"])
    assert one.at == ("blocks.1.attn.qkv",)
    assert one.name == "lora-2"


def test_an_unknown_preset_is_one_sentence():
    with pytest.raises(StudioError, match="no preset called 'x'"):
        get_preset("x")
