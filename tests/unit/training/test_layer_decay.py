"""Layer-wise learning rate decay."""

from studio.core.layers import Layer, Role
from studio.training.layer_decay import layer_lr_scales


def test_layers_further_from_the_classifier_train_slower() -> None:
    rows = [("", None), ("stem", None), ("blocks", None), ("blocks.0", 0), ("blocks.0.fc", 0), ("down", None)]
    rows += [("blocks.1", 1), ("norm", None), ("head", None)]
    layers = [Layer(path, "", "", Role.OTHER, 0, 0, block=block) for path, block in rows]
    scales = {f"x/{path}/weight": 2.0 for path, _ in rows}
    found = layer_lr_scales(scales, layers, 0.5)
    assert list(found.values()) == [2.0, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 2.0]
