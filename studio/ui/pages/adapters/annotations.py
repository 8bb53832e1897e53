"""Texts and badges of the layer tree for the attachments of a recipe."""

from studio.core.errors import StudioError
from studio.core.layers import Role
from studio.core.messages import N_
from studio.core.recipe import Attachment, Recipe
from studio.ui.i18n.language import localized, tr
from studio.ui.services.engine import Engine, RecipeCounts
from studio.ui.services.tree_data import Badge, Node, TreeAnnotations
from studio.ui.style.formatting import format_short_count

SLICE_LABELS = {"q": N_("q (query)"), "k": N_("k (key)"), "v": N_("v (value)")}
_ROLE_LABELS = {
    Role.BACKBONE: N_("backbone"),
    Role.PATCH_EMBEDDING: N_("patch embedding"),
    Role.STAGE: N_("stage"),
    Role.BLOCK: N_("block"),
    Role.ATTENTION: N_("attention"),
    Role.NORM: N_("norm"),
    Role.SCALE: N_("layer scale"),
    Role.CONV: N_("convolution"),
    Role.HEAD: N_("head"),
    Role.OTHER: N_("other"),
}


def role_label(role: Role) -> str:
    """Return the name of a role.

    The roles of single projections, such as qkv, are the same in all languages.
    """
    return localized(_ROLE_LABELS.get(role, str(role)))


def tree_annotations(recipe: Recipe, counts: RecipeCounts | None, engine: Engine) -> TreeAnnotations:
    """Return the badges of the tree, with the counts of unchanged attachments."""
    badges: dict[str, tuple[Badge, ...]] = {}
    parameter_counts = counts.parameter_counts if counts else None
    counted = {a.name: a for a in counts.recipe.attachments} if counts else {}
    per_site = {a.name: a.per_site for a in parameter_counts.attachments} if parameter_counts else {}
    for attachment in recipe.attachments:
        if attachment != counted.get(attachment.name):
            per_site.pop(attachment.name, None)
        label = attachment_label(attachment, engine)
        for layer in engine.match_targets(attachment).matched:
            parameters = per_site.get(attachment.name, {}).get(layer.path)
            badge = Badge(attachment.name, label, parameters, attachment.enabled, attachment.slices)
            badges[layer.path] = (*badges.get(layer.path, ()), badge)
    return TreeAnnotations(badges, recipe.head.trainable)


def attachment_label(attachment: Attachment, engine: Engine) -> str:
    """Return ``LoRA r8``; the method's name alone if the method is not installed."""
    try:
        method = engine.method(attachment.method)
        detail = method.info.short_text(method.configure(attachment.config))
    except StudioError:
        return attachment.method
    return f"{localized(method.label)} {detail}".strip()


def type_and_shape(node: Node) -> str:
    """Return ``Linear 288 × 96``: outputs first, as torch stores the weight."""
    if node.part:
        rows, *rest = node.layer.shape
        return tr("rows  {shape}", shape=" × ".join(map(str, (rows // 3, *rest))))
    shape = " × ".join(map(str, node.layer.shape))
    return f"{node.layer.type}  {shape}" if shape else node.layer.type


def badge_text(badge: Badge, part: str = "") -> str:
    """Return ``LoRA r8 +12.3k``; of a badge inside a fused qkv also the slices."""
    text = badge.text
    if badge.slices and not part:
        text = tr("{method} on {slices}", method=text, slices=", ".join(badge.slices))
    if not badge.enabled:
        return tr("{method} off", method=text)
    added = f" +{format_short_count(badge.parameters)}" if badge.parameters is not None and not part else ""
    return f"{text}{added}"
