"""Networks that read the weight of qkv past the layer: what attaching changes, at the size that people use.

timm has two ways to add the bias there, inside the product or after it, and only the second calls the layer. An adapter
needs the second, so it begins bit for bit as that, and as the first to within the rounding of one addition.
"""

import pytest
import timm
import torch
from torch import nn

from studio.backbones.layer_roles import describe_layers
from studio.peft import METHODS, attach
from studio.peft.targets import default_attachment

ARCHITECTURES = {"eva02_small_patch14_224": 224, "swinv2_tiny_window8_256": 256, "beit_base_patch16_224": 224}


def randomised(name: str) -> nn.Module:
    """Nothing at zero or one, so that each bias and scale counts."""
    module = timm.create_model(name, num_classes=11).eval()
    for parameter in module.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.02)
    return module


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_an_adapter_begins_as_the_network_that_calls_its_qkv(name: str) -> None:
    torch.manual_seed(0)
    module = randomised(name)
    images = torch.randn(1, 3, ARCHITECTURES[name], ARCHITECTURES[name])
    inside = module(images)
    holders = [layer for layer in module.modules() if hasattr(layer, "qkv_bias_separate")]
    for layer in holders:
        layer.qkv_bias_separate = True
    after = module(images)
    for layer in holders:
        layer.qkv_bias_separate = False
    attached = attach(module, [default_attachment(METHODS.get("lora"), describe_layers(module))])
    assert torch.equal(module(images), after)
    assert torch.allclose(after, inside, rtol=0, atol=1e-5 * float(inside.abs().max()))
    attached.detach()
    assert torch.equal(module(images), inside)
