"""Layer-wise learning rate decay (https://arxiv.org/abs/1801.06146)."""

from collections.abc import Mapping, Sequence

from studio.core.layers import Layer


def layer_lr_scales(scales: Mapping[str, float], layers: Sequence[Layer], decay: float) -> dict[str, float]:
    """Return ``scales`` times ``decay`` for each block up to the classifier.

    The keys are names of adapter tensors.
    """
    distances = _distances(layers)
    return {name: scale * decay ** distances.get(name.split("/")[1], 0) for name, scale in scales.items()}


def _distances(layers: Sequence[Layer]) -> dict[str, int]:
    """Return distances by layer path: 1 in the last block, 2 before it, ....

    A layer between blocks has the distance of the next block; one before all blocks has 1 more than the first block.
    Layers after all blocks, and the backbone as a whole, have 0.
    """
    blocks = 1 + max((layer.block for layer in layers if layer.block is not None), default=-1)
    distances = {layers[0].path: 0}
    distance = 0
    for layer in reversed(layers[1:]):
        if layer.block is not None:
            distance = blocks - layer.block
        distances[layer.path] = distance
    for layer in layers[1:]:
        if layer.block is not None:
            break
        distances[layer.path] += bool(blocks)
    return distances
