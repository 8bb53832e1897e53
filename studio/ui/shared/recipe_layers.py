"""Two recipes on one layer tree: the attachments of each layer in either recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.core.recipe import Attachment, Recipe

DiffStatus = Literal["", "same", "left", "right", "other"]


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer with the labels of its attachments in either recipe.

    ``status`` is "same", "left" or "right" (only in that recipe), "other" (different), or "" (no attachment).
    """

    layer: Layer
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    status: DiffStatus = ""

    @property
    def differs(self) -> bool:
        """Whether the recipes differ at this layer."""
        return self.status not in ("", "same")


def compare_layers(left: Recipe, right: Recipe, layers: Sequence[Layer]) -> tuple[LayerPair, ...]:
    """Return a pair per layer, without unusable attachments; imports the engine."""
    here, there = _attachment_labels(left, layers), _attachment_labels(right, layers)
    return tuple(_pair(layer, here.get(layer.path, ()), there.get(layer.path, ())) for layer in layers)


def _attachment_labels(recipe: Recipe, layers: Sequence[Layer]) -> dict[str, tuple[str, ...]]:
    """Return the labels of the attachments by layer path."""
    from studio.peft.target_matching import match_targets

    labels: dict[str, tuple[str, ...]] = {}
    for attachment in recipe.attachments:
        if attachment.enabled:
            text = describe_attachment(attachment)
            for layer in match_targets(attachment, layers).matched:
                labels[layer.path] = (*labels.get(layer.path, ()), text)
    if recipe.head.trainable:
        outermost = [layer for layer in layers if layer.role is Role.HEAD]
        for layer in outermost[:1]:
            labels[layer.path] = (*labels.get(layer.path, ()), N_("head, trained"))
    return labels


def describe_attachment(attachment: Attachment) -> str:
    """Return ``LoRA r8 on q, v`` with non-default fields; unknown methods by name."""
    from studio.peft.contract import METHODS

    try:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
    except StudioError:
        return attachment.method
    badge = method.info.short_text(config)
    fields = method.Config.model_fields
    named = [
        f"{name} {value}"
        for name, value in config
        if value != fields[name].get_default(call_default_factory=True) and not (badge and str(value) in badge)
    ]
    slices = f" on {', '.join(attachment.slices)}" if attachment.slices else ""
    return ", ".join((f"{method.label} {badge}".strip() + slices, *named))


def _pair(layer: Layer, left: tuple[str, ...], right: tuple[str, ...]) -> LayerPair:
    status: DiffStatus = ""
    if left or right:
        status = "same" if sorted(left) == sorted(right) else "left" if not right else "right" if not left else "other"
    return LayerPair(layer, left, right, status)
