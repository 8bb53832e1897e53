"""One small backbone for each timm family, with random weights for which every layer matters."""

import copy
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import timm
import torch
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from studio.backbones.layer_roles import describe_layers
from studio.core.layers import Layer

CLASSES = 5
"""Number of outputs of every small backbone."""

_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
_SWIN = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 16, "depths": (2, 1), "num_heads": (2, 2)}
_MAXVIT = {"img_size": 64, "embed_dim": (32,), "depths": (1,), "stem_width": 8, "head_hidden_size": 32}
_MBCONV = (("ds_r1_k3_s1_e1_c16_se0.25",), ("ir_r2_k3_s2_e2_c16_se0.25",), ("ir_r1_k5_s2_e2_c24_se0.25",))


@dataclass(frozen=True, slots=True)
class Family:
    """A small backbone: timm's name or a constructor, its arguments, and its input size in pixels.

    ``exported`` selects the families for the tests of ``torch.export``.
    """

    name: str
    architecture: str | Callable[..., nn.Module]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size: int = 32
    exported: bool = False

    def make(self) -> nn.Module:
        """Return a new backbone with timm's own initialization, on torch's default device."""
        if callable(self.architecture):
            return self.architecture(num_classes=CLASSES, **self.arguments)
        return timm.create_model(self.architecture, num_classes=CLASSES, **self.arguments)


def _inverted_residuals(network: type[nn.Module], **arguments: Any) -> nn.Module:
    return network(decode_arch_def([list(stage) for stage in _MBCONV]), num_features=32, stem_size=16, **arguments)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("vit", "vit_tiny_patch16_224", _VIT, exported=True),
            Family("deit-distilled", "deit_tiny_distilled_patch16_224", _VIT),
            Family("dinov2-registers", "vit_small_patch14_reg4_dinov2", _VIT),
            Family("siglip", "vit_base_patch16_siglip_224", _VIT),
            Family("beit", "beit_base_patch16_224", _VIT, exported=True),
            Family("eva02", "eva02_base_patch14_224", _VIT),
            Family("eva02-fused", "eva02_tiny_patch14_224", _VIT),
            Family("swin", "swin_tiny_patch4_window7_224", _SWIN),
            Family("swinv2", "swinv2_tiny_window8_256", _SWIN),
            Family("convnext", "convnext_tiny", {"depths": (1, 1, 1, 1), "dims": (16, 16, 32, 32)}),
            Family("efficientnet", partial(_inverted_residuals, EfficientNet)),
            Family("resnet", "resnet18", {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 32)}, exported=True),
            Family("maxvit", "maxvit_tiny_tf_224", _MAXVIT, size=64),
            Family("mobilenetv3", partial(_inverted_residuals, MobileNetV3)),
        )
    }
)


def build_backbone(family: str) -> nn.Module:
    """Return the small backbone of ``family`` in evaluation mode, with the same values every time."""
    return copy.deepcopy(_prototype(family))


def build_on_meta(family: str) -> nn.Module:
    """Return the small backbone of ``family`` on the meta device."""
    with torch.device("meta"):
        return FAMILIES[family].make().eval()


@cache
def backbone_layers(family: str) -> tuple[Layer, ...]:
    """Return the rows of the family's layer tree."""
    return describe_layers(_prototype(family))


def random_images(family: str, count: int = 4, seed: int = 0) -> Tensor:
    """Return random images, (count, 3, height, width)."""
    size = FAMILIES[family].size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@cache
def _prototype(family: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(family.encode()))
        module = FAMILIES[family].make().eval()
        randomize_tensors(module)
    return module


@torch.no_grad()
def randomize_tensors(module: nn.Module) -> None:
    """Randomize every tensor, so that no branch is zero and no bias, scale or running mean is neutral."""
    for layer in module.modules():
        for name, tensor in layer.named_parameters(recurse=False):
            if name != "logit_scale":  # Swin V2's logit scale has an upper bound
                tensor.copy_(_values(layer, name, tensor))
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)


def _values(layer: nn.Module, name: str, tensor: Tensor) -> Tensor:
    noise = torch.randn_like(tensor)
    if name == "weight" and tensor.ndim > 1:
        return noise / math.sqrt(tensor[0].numel())
    if name in ("weight", "gamma", "gamma_1", "gamma_2"):
        return 1 + 0.1 * noise
    return 0.2 * noise
