"""Backbones as a sequence of parts.

Each part takes only the output of the one before. Families are recognized by their ``forward_features`` function, so
that a model that overrides it is not mistaken for one. Callers check that the sequence computes the same as the model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.models import beit, convnext, eva, resnet, swin_transformer, swin_transformer_v2, vision_transformer
from torch import Tensor, nn

TensorFn = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class SequentialView:
    """Parts by path, from images (N, 3, H, W) to features, and the head to logits.

    The first part is everything before the blocks. ``head_paths`` are the paths of the layers of ``head``, in order.
    """

    parts: tuple[tuple[str, TensorFn], ...]
    head: TensorFn
    head_paths: tuple[str, ...]

    def first_affected(self, path: str) -> int:
        """Return the first part that depends on a layer; 0 if that is unknown."""
        if any(is_below(path, after) for after in self.head_paths):
            return len(self.parts)
        touched = (i for i, (own, _) in enumerate(self.parts) if i and (is_below(path, own) or is_below(own, path)))
        return next(touched, 0) if path else 0

    def path_at(self, index: int) -> str:
        """Return the path of a part, or of the head after the last one."""
        return self.parts[index][0] if index < len(self.parts) else self.head_paths[0]

    def has_blocks_before(self, index: int) -> bool:
        """Return whether a block is among the first ``index`` parts."""
        return any(path.rpartition(".")[2].isdecimal() for path, _ in self.parts[1:index])


def as_sequential(module: nn.Module, images: Tensor) -> SequentialView | None:
    """Return ``module`` as a sequence; None for an unknown family.

    Positions that depend on the image size are taken from ``images``.
    """
    make = _FAMILIES.get(getattr(type(module), "forward_features", None))
    return make(module, images) if make else None


def is_below(path: str, layer: str) -> bool:
    """Return whether ``path`` is ``layer`` or in it; unlike in core, the empty path holds nothing."""
    return path == layer or path.startswith(f"{layer}.")


def _call_in_order(module: Any, *names: str) -> TensorFn:
    """Return a function that runs layers of a model one after the other."""

    def run(x: Tensor) -> Tensor:
        for name in names:
            x = getattr(module, name)(x)
        return x

    return run


def _head_from(module: Any, *names: str) -> TensorFn:
    before = _call_in_order(module, *names)
    return lambda x: module.forward_head(before(x))


def _vit(module: Any, images: Tensor) -> SequentialView:
    def stem(x: Tensor) -> Tensor:
        tokens: Tensor = module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(x))))  # noqa: SLF001
        return tokens

    blocks = ((f"blocks.{number}", block) for number, block in enumerate(module.blocks))
    after = ("norm", "attn_pool", "fc_norm", "head_drop", "head")
    return SequentialView((("patch_embed", stem), *blocks), _head_from(module, "norm"), after)


@torch.no_grad()
def _eva(module: Any, images: Tensor) -> SequentialView:
    """Pass the rotary position embedding, the same for all images, to each block."""
    rope = module._pos_embed(module.patch_embed(images))[1]  # noqa: SLF001
    each = rope if getattr(module, "rope_mixed", False) and rope is not None else [rope] * len(module.blocks)

    def stem(x: Tensor) -> Tensor:
        tokens: Tensor = module.norm_pre(module._pos_embed(module.patch_embed(x))[0])  # noqa: SLF001
        return tokens

    blocks = ((f"blocks.{i}", partial(block, rope=each[i])) for i, block in enumerate(module.blocks))
    after = ("norm", "attn_pool", "fc_norm", "head_drop", "head")
    return SequentialView((("patch_embed", stem), *blocks), _head_from(module, "norm"), after)


def _beit(module: Any, images: Tensor) -> SequentialView:
    def stem(x: Tensor) -> Tensor:
        x = module.patch_embed(x)
        x = torch.cat((module.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        tokens: Tensor = module.pos_drop(x if module.pos_embed is None else x + module.pos_embed)
        return tokens

    def with_bias(block: nn.Module) -> TensorFn:
        bias = module.rel_pos_bias
        return lambda x: block(x, shared_rel_pos_bias=None if bias is None else bias())

    blocks = ((f"blocks.{number}", with_bias(block)) for number, block in enumerate(module.blocks))
    return SequentialView(
        (("patch_embed", stem), *blocks), _head_from(module, "norm"), ("norm", "fc_norm", "head_drop", "head")
    )


def _stages(stages: Any, name: str) -> Iterator[tuple[str, TensorFn]]:
    """Yield the downsampling layer and then the blocks of each stage."""
    for number, stage in enumerate(stages):
        yield f"{name}.{number}.downsample", stage.downsample
        yield from ((f"{name}.{number}.blocks.{i}", block) for i, block in enumerate(stage.blocks))


def _swin(module: Any, images: Tensor) -> SequentialView:
    parts = (("patch_embed", module.patch_embed), *_stages(module.layers, "layers"))
    return SequentialView(parts, _head_from(module, "norm"), ("norm", "head"))


def _convnext(module: Any, images: Tensor) -> SequentialView:
    parts = (("stem", module.stem), *_stages(module.stages, "stages"))
    return SequentialView(parts, _head_from(module, "norm_pre"), ("norm_pre", "head"))


def _resnet(module: Any, images: Tensor) -> SequentialView:
    stem = _call_in_order(module, "conv1", "bn1", "act1", "maxpool")
    blocks = ((f"layer{n}.{i}", block) for n in range(1, 5) for i, block in enumerate(getattr(module, f"layer{n}")))
    return SequentialView((("conv1", stem), *blocks), _head_from(module), ("global_pool", "fc"))


_FAMILIES: dict[Any, Callable[[Any, Tensor], SequentialView]] = {
    vision_transformer.VisionTransformer.forward_features: _vit,
    eva.Eva.forward_features: _eva,
    beit.Beit.forward_features: _beit,
    swin_transformer.SwinTransformer.forward_features: _swin,
    swin_transformer_v2.SwinTransformerV2.forward_features: _swin,
    convnext.ConvNeXt.forward_features: _convnext,
    resnet.ResNet.forward_features: _resnet,
}
