"""Two recipes on one layer tree: what attaches where in the one and in the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Attachment, Recipe

DiffStatus = Literal["", "same", "left", "right", "other"]


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer with the words for what attaches to it in either recipe.

    ``status`` says how they compare: "same", only in the "left" or the "right" one, in both but "other", or "" where
    nothing attaches in either.
    """

    layer: Layer
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    status: DiffStatus = ""

    @property
    def differs(self) -> bool:
        """Whether the recipes differ here."""
        return self.status not in ("", "same")


def compare_layers(left: Recipe, right: Recipe, layers: Sequence[Layer]) -> tuple[LayerPair, ...]:
    """One for each layer, in the tree's order. Imports the engine; an attachment that cannot be used is left out."""
    here, there = _attachment_labels(left, layers), _attachment_labels(right, layers)
    return tuple(_pair(layer, here.get(layer.path, ()), there.get(layer.path, ())) for layer in layers)


def _attachment_labels(recipe: Recipe, layers: Sequence[Layer]) -> dict[str, tuple[str, ...]]:
    """The words for what attaches, by the path of the layer."""
    from studio.peft.target_matching import match_targets

    found: dict[str, tuple[str, ...]] = {}
    for attachment in recipe.attachments:
        if attachment.enabled:
            words = describe_attachment(attachment)
            for layer in match_targets(attachment, layers).matched:
                found[layer.path] = (*found.get(layer.path, ()), words)
    if recipe.head.trainable:
        outermost = [layer for layer in layers if layer.role is Role.HEAD]
        for layer in outermost[:1]:
            found[layer.path] = (*found.get(layer.path, ()), "head")
    return found


def describe_attachment(attachment: Attachment) -> str:
    """``LoRA r8 on q, v`` with the fields that are not the method's defaults; its name alone where it is unknown."""
    from studio.peft.contract import METHODS

    try:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
    except StudioError:
        return attachment.method
    badge = method.short_text(config)
    fields = method.Config.model_fields
    named = [
        f"{name} {value}"
        for name, value in config
        if value != fields[name].get_default(call_default_factory=True) and not (badge and str(value) in badge)
    ]
    slices = f" on {', '.join(attachment.slices)}" if attachment.slices else ""
    return ", ".join((f"{method.label} {badge}".strip() + slices, *named))


def _pair(layer: Layer, left: tuple[str, ...], right: tuple[str, ...]) -> LayerPair:
    mark: DiffStatus = ""
    if left or right:
        mark = "same" if sorted(left) == sorted(right) else "left" if not right else "right" if not left else "other"
    return LayerPair(layer, left, right, mark)
