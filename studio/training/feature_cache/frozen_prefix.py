"""The frozen prefix of a backbone: all layers before the first trainable one.

Its features of an image never change, so they are computed once, and an epoch runs the tail only: almost nothing if the
classifier alone trains, about a third for attachments in the last third of the blocks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from studio.backbones.layer_roles import classifier_paths
from studio.peft import AdaptedModel
from studio.training.feature_cache.sequential import as_sequential, is_below


@dataclass(frozen=True, slots=True)
class ModelSplit:
    """A backbone as a frozen ``prefix``, to features, and a ``tail``, to logits.

    Images are normalized, (N, 3, H, W). ``first_trained_layer`` is the path of the first layer of the tail, and
    ``feature_shape`` the shape of the features of one image.
    """

    first_trained_layer: str
    prefix: Callable[[Tensor], Tensor]
    tail: Callable[[Tensor], Tensor]
    feature_shape: tuple[int, ...] = ()


def find_split(model: AdaptedModel, size: tuple[int, int]) -> ModelSplit | None:
    """Split a model for images of ``size`` (height, width); None if no split is known."""
    device = next(model.module.parameters()).device
    images = torch.linspace(-1, 1, 2 * 3 * size[0] * size[1]).view(2, 3, *size).to(device)
    model.eval()
    split = _split_before_head(model) or _split_before_block(model, images)
    return split and _checked(split, model, images)


def _split_before_head(model: AdaptedModel) -> ModelSplit | None:
    """Split any timm model of which nothing but the single classifier trains."""
    module = model.module
    heads = classifier_paths(module)
    if len(heads) != 1 or not all(is_below(path, heads[0]) for path in _patched_paths(model)):
        return None

    def prefix(images: Tensor) -> Tensor:
        features: Tensor = module.forward_head(module.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return features

    return ModelSplit(heads[0], prefix, lambda features: module.get_submodule(heads[0])(features))


def _split_before_block(model: AdaptedModel, images: Tensor) -> ModelSplit | None:
    """Split a sequential backbone whose first blocks are frozen."""
    view = as_sequential(model.module, images)
    first = min((view.first_affected(path) for path in _patched_paths(model)), default=0) if view else 0
    if view is None or not view.has_blocks_before(first):
        return None
    parts = [part for _, part in view.parts]
    return ModelSplit(
        view.path_at(first),
        lambda images: _run_parts(parts[:first], images),
        lambda features: view.head(_run_parts(parts[first:], features)),
    )


def _patched_paths(model: AdaptedModel) -> set[str]:
    return {patch.path for patch in model.patches}


def _run_parts(parts: Iterable[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for part in parts:
        x = part(x)
    return x


@torch.no_grad()
def _checked(split: ModelSplit, model: AdaptedModel, images: Tensor) -> ModelSplit | None:
    """Return the split if it computes the same logits as the model.

    A model may do something of its own between both parts.
    """
    features = split.prefix(images)
    if not torch.allclose(split.tail(features), model.module(images), rtol=1e-4, atol=1e-5):
        return None
    return replace(split, feature_shape=tuple(features.shape[1:]))
