"""The catalog: counted figures, stated licenses, and the order of the entries."""

import pytest
import timm
import torch
from timm.layers import set_fused_attn
from torch.utils.flop_counter import FlopCounterMode

from studio.backbones import catalog
from studio.backbones.licenses import is_non_commercial, license_name
from studio.cli import backbones_text
from studio.cli.tables import plain_text


@pytest.fixture(scope="module")
def entries():
    return catalog.search()


def test_every_pretrained_name_of_timm_is_there_and_the_bundled_one_first(entries):
    assert entries[0].name == "starter"
    assert entries[0].available
    assert {e.name for e in entries[1:]} == set(timm.list_models(pretrained=True))


def test_what_is_on_this_machine_and_what_is_well_known_comes_before_the_rest(entries):
    ranks = [0 if e.available else 1 if e.name in catalog.WELL_KNOWN else 2 for e in entries]
    assert ranks == sorted(ranks)


def test_nearly_all_have_figures(entries):
    known = [e for e in entries if e.parameters and e.flops]
    assert len(known) >= 0.99 * len(entries)


@pytest.mark.parametrize(
    "name", ["resnet18.a1_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "test_vit.r160_in1k"]
)
def test_figures_are_what_the_network_counts(name):
    entry = next(e for e in catalog.search(name) if e.name == name)
    set_fused_attn(False)
    try:
        with torch.device("meta"):
            module = timm.create_model(name).eval().requires_grad_(False)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(torch.empty(1, 3, *entry.input_size, device="meta"))
    finally:
        set_fused_attn(True)
    assert entry.parameters == sum(p.numel() for p in module.parameters())
    assert entry.flops == counter.get_total_flops()


def test_a_family_is_found_by_its_words():
    found = catalog.search("swin transformer v2")
    assert found
    assert all(e.family.startswith("swin transformer v2") for e in found)


def test_a_star_stands_for_anything():
    assert all(e.name.startswith("vit_") and "clip" in e.name for e in catalog.search("vit_*clip*"))


@pytest.mark.parametrize(
    ("license_id", "forbidden"),
    [
        ("cc-by-nc-4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("fair-noncommercial-research-license", True),
        ("apple-amlr", True),
        ("apache-2.0", False),
        ("mit", False),
        ("cc-by-4.0", False),
        ("not stated", False),
        ("incorporated-1.0", False),
    ],
)
def test_licenses_that_forbid_commercial_use(license_id, forbidden):
    assert is_non_commercial(license_id) is forbidden


@pytest.mark.parametrize("license_id", [None, "", "unknown"])
def test_a_missing_license_is_not_stated(license_id):
    assert license_name(license_id) == "not stated"


def test_the_list_for_the_command_line_has_every_column():
    found = backbones_text.search_backbones("convnextv2_tiny")
    text = plain_text(backbones_text.backbones_table(found))
    assert "GFLOPs" in text
    assert "convnext" in text
    assert "cc-by-nc-4.0, non-commercial" in text
    raw = found[0].as_json()
    assert {"name", "family", "parameters", "operations", "input_size", "license", "available", "bytes"} <= set(raw)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("vit base", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("ViT-B/16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("resnet-50", "resnet50.a1_in1k"),
        ("dino v2 small", "vit_small_patch14_dinov2.lvd142m"),
        ("res net 18", "resnet18.a1_in1k"),
        ("convnext 29m", "convnext_tiny.fb_in22k_ft_in1k"),
    ],
)
def test_names_are_found_as_people_write_them(typed, first):
    assert catalog.did_you_mean(typed) == typed
    assert catalog.search(typed)[0].name == first


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("resent50", "resnet50"), ("efficentnet", "efficientnet"), ("swin_tny", "swin tiny"), ("zzzz", ""), ("", "")],
)
def test_a_slip_is_mended_only_where_nothing_is_called_so(typed, meant):
    assert catalog.did_you_mean(typed) == meant
