"""Full fine-tuning, linear probe, BitFit and LayerNorm tuning: trained parameters against known counts."""

import pytest
import timm
import torch
from torch import nn

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import attach
from studio.testing.families import build_backbone, build_on_meta, random_images


def vit_b(classes: int = 0) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model("vit_base_patch16_224", num_classes=classes)


def site(method: str, *at: str) -> Attachment:
    return Attachment(name="a", method=method, at=at or (".",))


@pytest.mark.parametrize(
    ("method", "at", "count"),
    [("full", ".", 85_798_656), ("bitfit", ".", 102_912), ("norm_tuning", "**", 12 * 4 * 768 + 2 * 768)],
)
def test_counts_on_vit_b(method: str, at: str, count: int) -> None:
    assert attach(vit_b(), [site(method, at)]).parameter_counts().attachments[0].parameters == count


def test_a_linear_probe_trains_the_head_alone() -> None:
    census = attach(vit_b(100), [site("linear_probe")]).parameter_counts()
    assert census.trainable_parameters == census.head_parameters == 76_900


def test_a_linear_probe_trains_the_head_that_a_recipe_leaves_frozen() -> None:
    census = attach(vit_b(100), [site("linear_probe")], head=False).parameter_counts()
    assert census.trainable_parameters == census.attachments[0].parameters == 76_900


def test_a_linear_probe_needs_a_head() -> None:
    module = vit_b()
    with pytest.raises(StudioError, match="no head"):
        attach(module, [site("linear_probe")])
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("family", ["beit", "eva02-fused", "swinv2"])
def test_bitfit_finds_biases_that_the_attention_keeps(family: str) -> None:
    attached = attach(build_on_meta(family), [site("bitfit")], head=False)
    names = {name.rpartition("/")[2] for name, _ in attached.named_parameters()}
    assert names == {"bias", "q_bias", "v_bias"}


def test_full_leaves_the_head_to_the_recipe() -> None:
    attached = attach(build_on_meta("vit"), [site("full")], head=False)
    assert not any("/head/" in name for name, _ in attached.named_parameters())


def test_whole_weights_train_under_another_attachment() -> None:
    """The layer's own weights, not the adapter that stands in its place by then."""
    lora = Attachment(name="b", method="lora", at=("**.fc1",))
    alone = attach(build_on_meta("vit"), [site("full")], head=False).parameter_counts().attachments[0].parameters
    both = attach(build_on_meta("vit"), [lora, site("full")], head=False).parameter_counts().attachments[1].parameters
    assert both == alone


def test_slices_are_refused() -> None:
    with pytest.raises(StudioError, match="whole tensors"):
        attach(build_on_meta("vit"), [Attachment(name="a", method="bitfit", at=("**.qkv",), slices=("q",))])


@pytest.mark.parametrize(
    ("method", "at", "sentence"),
    [
        ("bitfit", "blocks.0.attn.q_norm", "no bias"),
        ("full", "blocks.0.attn.q_norm", "no weights"),
        ("norm_tuning", "blocks.0.attn.qkv", "normalization layer"),
        ("linear_probe", "blocks.0", "backbone as a whole"),
    ],
)
def test_other_layers_are_refused_with_a_sentence(method: str, at: str, sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence):
        attach(build_on_meta("vit"), [site(method, at)])


def test_a_norm_without_a_weight_is_refused() -> None:
    module = build_backbone("vit")
    module.norm = nn.LayerNorm(32, elementwise_affine=False)
    with pytest.raises(StudioError, match="no weight"):
        attach(module, [site("norm_tuning", "norm")])


def test_batch_norm_keeps_its_statistics_while_its_weight_trains() -> None:
    attached = attach(build_backbone("resnet"), [site("norm_tuning", "**.bn*")]).train()
    mean = attached.module.layer1[0].bn1.running_mean.clone()
    attached.module(random_images("resnet")).square().sum().backward()
    assert torch.equal(attached.module.layer1[0].bn1.running_mean, mean)
    assert attached.unused_parameters() == ()
