"""The layer tree of a backbone or a recipe, with its attachments' parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.tables import Part, TextTable, make_table
from studio.core.errors import StudioError
from studio.core.formatting import format_bytes
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Backbone, Recipe

if TYPE_CHECKING:
    from studio.peft.param_counts import AttachmentCounts, ParameterCounts


@dataclass(frozen=True, slots=True)
class LayerReport:
    """A backbone, its layers in pre-order, and the counts of its attachments."""

    backbone: Backbone
    layers: tuple[Layer, ...]
    parameter_counts: "ParameterCounts"

    def as_json(self) -> dict[str, Any]:
        """Return the counts and the layer tree as plain data."""
        rows = [
            {
                "path": layer.path,
                "type": layer.type,
                "role": str(layer.role),
                "shape": list(layer.shape),
                "slices": list(layer.slices),
                "parameters": layer.parameters,
            }
            for layer in self.layers
        ]
        return self.parameter_counts.as_json(self.backbone.name) | {"layers": rows}

    def parts(self) -> tuple[Part, ...]:
        """Return the tree, then a line for each attachment, then the totals."""
        return self._tree(), *map(_attachment_text, self.parameter_counts.attachments), self._totals()

    def _tree(self) -> TextTable:
        added: dict[str, int] = {}
        for attachment in self.parameter_counts.attachments:
            for path, count in attachment.per_site.items():
                added[path] = added.get(path, 0) + count
        rows = [
            (*_layer_cells(layer), f"+{added[layer.path]:,}" if layer.path in added else "") for layer in self.layers
        ]
        return make_table(("layer", "type", "role", "shape", "parameters", "attached"), rows, right=(4, 5))

    def _totals(self) -> str:
        counts = self.parameter_counts
        return (
            f"{counts.trainable_parameters:,} of {counts.total_parameters:,} parameters are trainable "
            f"({counts.trainable_percent:.2f} %); adapter size {format_bytes(counts.adapter_bytes)}"
        )


def _attachment_text(counts: "AttachmentCounts") -> str:
    skipped = "".join(f"\n  not {s.path or 'the backbone'}: {s.reason}" for s in counts.skipped)
    return f"{counts.name}: {counts.method} on {len(counts.matched)} layers, {counts.parameters:,} parameters{skipped}"


def _layer_cells(layer: Layer) -> tuple[str, str, str, str, str]:
    depth = layer.path.count(".") + 1 if layer.path else 0
    shape = "x".join(map(str, layer.shape))
    return "  " * depth + (layer.name or "."), layer.type, str(layer.role), shape, f"{layer.parameters:,}"


def layer_report(subject: str, attach: Sequence[str] = (), classes: int | None = None) -> LayerReport:
    """Describe a backbone or a recipe, with the ``attach`` lines added.

    ``subject`` is the name of a backbone, a timm model folder, a recipe file or a run.
    """
    from studio.app.inspection import Inspector
    from studio.peft.check import check_recipe

    recipe = _load_recipe(subject)
    inspector = Inspector(recipe.backbone, classes or _class_count(recipe))
    recipe = recipe.model_copy(update={"attachments": _attachments(recipe, attach, inspector.layers)})
    problems = check_recipe(recipe, inspector.layers)
    if problems:
        raise StudioError("cannot-attach", problems[0].text)
    counts = inspector.parameter_counts(recipe.attachments, head=recipe.head.trainable)
    return LayerReport(recipe.backbone, inspector.layers, counts)


def _attachments(recipe: Recipe, lines: Sequence[str], layers: tuple[Layer, ...]) -> tuple[Attachment, ...]:
    from studio.cli.attach_spec import parse_attachment

    attachments = list(recipe.attachments)
    for line in lines:
        attachments.append(parse_attachment(line, layers, [a.name for a in attachments]))
    return tuple(attachments)


def _load_recipe(subject: str) -> Recipe:
    path = Path(subject)
    if path.suffix == ".toml" or (path.is_dir() and (path / "recipe.toml").is_file()):
        file = path / "recipe.toml" if path.is_dir() else path
        return Recipe.load(file).with_absolute_paths(file.absolute().parent)
    from studio.app.inspection import backbone_from_text

    return Recipe(backbone=backbone_from_text(subject))


def _class_count(recipe: Recipe) -> int | None:
    """Return the number of classes of the images; None without images."""
    from studio.data.dataset.dataset import build_index

    try:
        return len(build_index(recipe.data).classes)
    except StudioError:
        return None
