"""The frozen part of a backbone: everything before the first layer that trains.

What it makes of an image never changes, so it is computed once for each image, and only the rest is trained: for the
classifier alone that leaves next to nothing, for attachments in the last third of the blocks about a third.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.backbones.layer_roles import classifier_paths
from studio.peft import AdaptedModel
from studio.training.feature_cache.sequential import as_sequential


@dataclass(frozen=True, slots=True)
class ModelSplit:
    """A backbone as two functions: normalised images to features, frozen; and features to logits.

    ``first_trained_layer`` is the path of the first layer that is not in the frozen part.
    """

    first_trained_layer: str
    prefix: Callable[[Tensor], Tensor]
    tail: Callable[[Tensor], Tensor]


def find_split(model: AdaptedModel, size: tuple[int, int]) -> ModelSplit | None:
    """Where to cut a backbone with attachments for images of ``size``; None where no place is known."""
    device = next(model.module.parameters()).device
    images = torch.linspace(-1, 1, 2 * 3 * size[0] * size[1]).view(2, 3, *size).to(device)
    model.eval()
    cut = _split_before_head(model) or _split_before_block(model, images)
    return cut if cut is not None and _matches_whole_model(cut, model, images) else None


def _split_before_head(model: AdaptedModel) -> ModelSplit | None:
    """Any timm network of which nothing but its one classifier trains."""
    module = model.module
    heads = classifier_paths(module)
    if len(heads) != 1 or not all(_is_within(path, heads[0]) for path in _patched_paths(model)):
        return None

    def prefix(images: Tensor) -> Tensor:
        features: Tensor = module.forward_head(module.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return features

    return ModelSplit(heads[0], prefix, lambda features: module.get_submodule(heads[0])(features))


def _split_before_block(model: AdaptedModel, images: Tensor) -> ModelSplit | None:
    """A backbone that is a chain, of which some first blocks are frozen."""
    whole = as_sequential(model.module, images)
    first = min((whole.first_affected(path) for path in _patched_paths(model)), default=0) if whole else 0
    if whole is None or not whole.has_blocks_before(first):
        return None
    parts = [part for _, part in whole.parts]
    return ModelSplit(
        whole.path_at(first),
        lambda images: _run_parts(parts[:first], images),
        lambda features: whole.head(_run_parts(parts[first:], features)),
    )


def _patched_paths(model: AdaptedModel) -> set[str]:
    return {change.path for change in model.patches}


def _is_within(path: str, layer: str) -> bool:
    return path == layer or path.startswith(f"{layer}.")


def _run_parts(parts: Iterable[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for part in parts:
        x = part(x)
    return x


@torch.no_grad()
def _matches_whole_model(split: ModelSplit, model: AdaptedModel, images: Tensor) -> bool:
    """Whether both parts together are the whole: a network may do something of its own between them."""
    return torch.allclose(split.tail(split.prefix(images)), model.module(images), rtol=1e-4, atol=1e-5)
