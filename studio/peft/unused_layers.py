"""The error about trainable tensors without a gradient: the backbone never calls the layers that hold them."""

from collections.abc import Sequence

from studio.core.errors import StudioError
from studio.core.messages import N_, N_n


def unused_layer_error(names: Sequence[str]) -> StudioError:
    """Return the error for the unused tensors ``names``, each ``attachment/layer path/name``, at least one."""
    attachment, first, _ = names[0].split("/")
    layer = first or N_("the backbone")
    others = len({name.split("/")[1] for name in names}) - 1
    if not others:
        return StudioError(
            "unused-layer",
            "{attachment} has no effect in {layer}: the backbone never calls it. Choose other layers.",
            attachment=attachment,
            layer=layer,
        )
    text = N_n(
        "{attachment} has no effect in {layer} and {n} other layer: the backbone never calls them. "
        "Choose other layers.",
        "{attachment} has no effect in {layer} and {n} other layers: the backbone never calls them. "
        "Choose other layers.",
        others,
        attachment=attachment,
        layer=layer,
    )
    return StudioError("unused-layer", text)
