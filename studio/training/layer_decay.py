"""Lower learning rates for layers further from the classifier (layer-wise decay, https://arxiv.org/abs/1801.06146)."""

from collections.abc import Mapping, Sequence

from studio.core.layers import Layer


def layer_lr_scales(scales: Mapping[str, float], layers: Sequence[Layer], decay: float) -> dict[str, float]:
    """``scales``, by names of adapter tensors, times ``decay`` for each step from the classifier back to its layer."""
    distances = _distances(layers)
    return {name: scale * decay ** distances.get(name.split("/")[1], 0) for name, scale in scales.items()}


def _distances(layers: Sequence[Layer]) -> dict[str, int]:
    """1 for layers in the last block and one more in each block before it.

    What stands before a block is as far as the block, or one further before the first. What comes after all blocks is
    at 0, and so is the backbone as a whole, which is everywhere.
    """
    blocks = 1 + max((layer.block for layer in layers if layer.block is not None), default=-1)
    found = {layers[0].path: 0}
    distance = 0
    for layer in reversed(layers[1:]):
        if layer.block is not None:
            distance = blocks - layer.block
        found[layer.path] = distance
    for layer in layers[1:]:
        if layer.block is not None:
            break
        found[layer.path] += bool(blocks)
    return found
