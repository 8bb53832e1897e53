"""The frozen part of a backbone: everything before the first layer that trains.

What it makes of an image never changes, so it is computed once for each image, and only the rest is trained: for the
classifier alone that leaves next to nothing, for attachments in the last third of the blocks about a third.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.backbones.layer_roles import head_paths
from studio.peft import Attached
from studio.training.feature_cache.sequential import chain


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
    device = next(attached.module.parameters()).device
    images = torch.linspace(-1, 1, 2 * 3 * size[0] * size[1]).view(2, 3, *size).to(device)
    attached.eval()
    cut = _before_head(attached) or _before_block(attached, images)
    return cut if cut is not None and _is_exact(cut, attached, images) else None


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


def _before_block(attached: Attached, images: Tensor) -> Cut | None:
    """A backbone that is a chain, of which some first blocks are frozen."""
    whole = chain(attached.module, images)
    first = min((whole.first(path) for path in _changed(attached)), default=0) if whole else 0
    if whole is None or not whole.holds_blocks(first):
        return None
    parts = [part for _, part in whole.parts]
    return Cut(
        whole.path(first),
        lambda images: _through(parts[:first], images),
        lambda features: whole.rest(_through(parts[first:], features)),
    )


def _changed(attached: Attached) -> set[str]:
    return {change.path for change in attached.changes}


def _inside(path: str, layer: str) -> bool:
    return path == layer or path.startswith(f"{layer}.")


def _through(parts: Iterable[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for part in parts:
        x = part(x)
    return x


@torch.no_grad()
def _is_exact(cut: Cut, attached: Attached, images: Tensor) -> bool:
    """Whether both parts together are the whole: a network may do something of its own between them."""
    return torch.allclose(cut.tail(cut.prefix(images)), attached.module(images), rtol=1e-4, atol=1e-5)
