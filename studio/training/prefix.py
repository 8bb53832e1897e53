"""The frozen part of a backbone: everything before the first layer that trains.

What it makes of an image never changes, so it is computed once for each image, and only the rest is trained: for the
classifier alone that leaves next to nothing, for attachments in the last third of the blocks about a third.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from studio.backbones.anatomy import head_paths
from studio.peft import Attached

_AFTER_BLOCKS = ("norm", "attn_pool", "fc_norm", "head_drop", "head")


@dataclass(frozen=True, slots=True)
class Cut:
    """A backbone as two functions: normalised images to features, frozen; and features to logits.

    ``before`` is the path of the first layer that is not in the frozen part.
    """

    before: str
    prefix: Callable[[Tensor], Tensor]
    tail: Callable[[Tensor], Tensor]


def find(attached: Attached, size: tuple[int, int]) -> Cut | None:
    """Where to cut a backbone with attachments for images of ``size``; None where no place is known."""
    cut = _before_head(attached) or _before_block(attached)
    return cut if cut is not None and _is_exact(cut, attached, size) else None


def _before_head(attached: Attached) -> Cut | None:
    """Any timm network of which nothing but its one classifier trains."""
    module = attached.module
    heads = head_paths(module)
    if len(heads) != 1 or not all(_inside(path, heads[0]) for path in _changed(attached)):
        return None

    def prefix(images: Tensor) -> Tensor:
        features: Tensor = module.forward_head(module.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return features

    return Cut(heads[0], prefix, lambda features: module.get_submodule(heads[0])(features))


def _before_block(attached: Attached) -> Cut | None:
    """A plain vision transformer, of which some first blocks are frozen."""
    module = attached.module
    if getattr(type(module), "forward_features", None) is not VisionTransformer.forward_features:
        return None
    assert isinstance(module, VisionTransformer)
    first = min((_block(path, len(module.blocks)) for path in _changed(attached)), default=0)
    if first == 0:
        return None

    def prefix(images: Tensor) -> Tensor:
        tokens = module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(images))))  # noqa: SLF001
        return _through(module.blocks[:first], tokens)

    def tail(tokens: Tensor) -> Tensor:
        return module.forward_head(module.norm(_through(module.blocks[first:], tokens)))

    return Cut(f"blocks.{first}" if first < len(module.blocks) else "norm", prefix, tail)


def _changed(attached: Attached) -> set[str]:
    return {change.path for change in attached.changes}


def _inside(path: str, layer: str) -> bool:
    return path == layer or path.startswith(f"{layer}.")


def _block(path: str, blocks: int) -> int:
    """The first block that the layer at ``path`` has an influence on."""
    parts = path.split(".")
    if parts[0] == "blocks" and len(parts) > 1:
        return int(parts[1])
    return blocks if parts[0] in _AFTER_BLOCKS else 0


def _through(blocks: Iterable[nn.Module], tokens: Tensor) -> Tensor:
    for block in blocks:
        tokens = block(tokens)
    return tokens


@torch.no_grad()
def _is_exact(cut: Cut, attached: Attached, size: tuple[int, int]) -> bool:
    """Whether both parts together are the whole: a network may do something of its own between them."""
    device = next(attached.module.parameters()).device
    images = torch.linspace(-1, 1, 2 * 3 * size[0] * size[1]).view(2, 3, *size).to(device)
    attached.eval()
    return torch.allclose(cut.tail(cut.prefix(images)), attached.module(images), rtol=1e-4, atol=1e-5)
