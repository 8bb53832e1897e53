"""Saliency maps: Grad-CAM and attention rollout."""

import pytest
import torch
from torch import nn

from studio.backbones.layer_roles import describe_layers
from studio.core.errors import StudioError
from studio.evaluation.saliency import attention_rollout, grad_cam
from studio.peft import attach
from studio.peft.contract import METHODS
from studio.peft.targets import default_attachment
from studio.testing import families

GLOBAL = ("vit", "deit-distilled", "dinov2-registers", "siglip", "beit", "eva02", "eva02-fused")


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_grad_cam_gives_a_map_for_every_family_and_leaves_the_model_unchanged(family: str) -> None:
    module, image = families.build_backbone(family), families.random_images(family, 1)[0]
    before = module(image[None])
    found = [grad_cam(module, image, label, families.backbone_layers(family)) for label in range(families.CLASSES)]
    assert all(one.dim() == 2 and one.numel() > 1 for one in found)
    assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in found)
    assert any(float(one.max()) == 1 for one in found)
    assert torch.equal(module(image[None]), before)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_before_average_pooling_and_a_linear_head_grad_cam_is_the_class_activation_map() -> None:
    """Zhou et al. 2016, https://arxiv.org/abs/1512.04150."""
    module, image = (
        families.build_backbone("resnet"),
        torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(1)),
    )
    with torch.no_grad():
        features = module.forward_features(image[None])[0]
    for label in range(families.CLASSES):
        expected = torch.einsum("c,chw->hw", module.fc.weight[label], features).relu().detach()
        found = grad_cam(module, image, label, families.backbone_layers("resnet"))
        low, high = expected.min(), expected.max()
        assert torch.allclose(found, (expected - low) / (high - low).clamp_min(1e-12), atol=1e-5)


def test_a_network_without_blocks_is_explained_by_its_last_feature_map() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert grad_cam(module, torch.randn(3, 8, 8), 0, describe_layers(module)).shape == (6, 6)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(StudioError) as raised:
        grad_cam(flat, torch.randn(3, 8, 8), 0, describe_layers(flat))
    assert raised.value.code == "no-feature-map"


@pytest.mark.parametrize("family", GLOBAL)
def test_rollout_is_the_same_with_and_without_fused_attention(family: str) -> None:
    module, image = families.build_backbone(family), families.random_images(family, 1)[0]
    fused = attention_rollout(module, image)
    assert fused.shape == module.patch_embed.grid_size
    assert float(fused.max()) == 1
    for layer in module.modules():
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = False
    assert torch.allclose(attention_rollout(module, image), fused, atol=1e-5)


def test_rollout_is_the_product_of_attentions_with_residuals() -> None:
    module, image = families.build_backbone("vit"), families.random_images("vit", 1)[0]
    flow = torch.eye(17)
    with torch.no_grad():
        x = module.norm_pre(module._pos_embed(module.patch_embed(image[None])))
        for block in module.blocks:
            q, k, _ = block.attn.qkv(block.norm1(x)).reshape(1, 17, 3, 2, -1).permute(2, 0, 3, 1, 4).unbind(0)
            attention = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)[0].mean(0)
            flow = (attention + torch.eye(17)) / 2 @ flow
            x = block(x)
    expected = flow[0, 1:].reshape(4, 4)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert torch.allclose(attention_rollout(module, image), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["swin", "swinv2", "convnext", "resnet", "maxvit"])
def test_without_global_attention_rollout_suggests_grad_cam(family: str) -> None:
    with pytest.raises(StudioError, match="Grad-CAM"):
        attention_rollout(families.build_backbone(family), families.random_images(family, 1)[0])


@pytest.mark.parametrize("method", ["lora", "pfeiffer", "prefix", "vpt_deep", "vpt_shallow", "llama_adapter", "full"])
def test_adapted_networks_have_saliency_maps_too(method: str) -> None:
    module, image = families.build_backbone("vit"), families.random_images("vit", 1)[0]
    attached = attach(module, [default_attachment(METHODS.get(method), families.backbone_layers("vit"))])
    assert grad_cam(attached.module, image, 1, attached.layers).shape == (4, 4)
    assert attention_rollout(attached.module, image).shape == (4, 4)
