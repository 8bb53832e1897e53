"""The layer tree of a backbone or a recipe with what its attachments come to, for ``peft-studio inspect``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.core.formatting import format_table
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Backbone, Recipe

if TYPE_CHECKING:
    from studio.peft.param_counts import ParameterCounts


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What was asked about, its layers in pre-order, and the census of the attachments on it."""

    backbone: Backbone
    layers: tuple[Layer, ...]
    parameter_counts: "ParameterCounts"

    def as_json(self) -> dict[str, Any]:
        """The census as the contract says, with the layer tree and its sites."""
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

    def as_text(self) -> str:
        """The tree, then a line for each attachment, then the totals."""
        return "\n\n".join((self._tree(), *map(self._attachment, self.parameter_counts.attachments), self._totals()))

    def _tree(self) -> str:
        added: dict[str, int] = {}
        for attachment in self.parameter_counts.attachments:
            for path, count in attachment.per_site.items():
                added[path] = added.get(path, 0) + count
        rows = [
            (*_layer_cells(layer), f"+{added[layer.path]:,}" if layer.path in added else "") for layer in self.layers
        ]
        return format_table(("layer", "type", "role", "shape", "parameters", "attached"), rows, right=(4, 5))

    def _attachment(self, attachment: Any) -> str:
        skipped = "".join(f"\n  not {s.path or 'the backbone'}: {s.reason}" for s in attachment.skipped)
        sites = f"{len(attachment.matched)} layers"
        return f"{attachment.name}: {attachment.method} on {sites}, {attachment.parameters:,} parameters{skipped}"

    def _totals(self) -> str:
        census = self.parameter_counts
        return (
            f"{census.trainable_parameters:,} of {census.total_parameters:,} parameters train "
            f"({census.trainable_percent:.2f} %); the adapter takes {census.adapter_bytes / 1e6:.2f} MB"
        )


def _layer_cells(layer: Layer) -> tuple[str, str, str, str, str]:
    depth = layer.path.count(".") + 1 if layer.path else 0
    shape = "x".join(map(str, layer.shape))
    return "  " * depth + (layer.name or "."), layer.type, str(layer.role), shape, f"{layer.parameters:,}"


def layer_report(subject: str, attach: Sequence[str] = (), classes: int | None = None) -> LayerReport:
    """Describe a backbone's name, a timm model folder or checkpoint, or a recipe file, with ``attach`` lines added."""
    from studio.app.inspection import Inspector
    from studio.peft.check import check_recipe

    recipe = _load_recipe(subject)
    inspector = Inspector(recipe.backbone, classes or _class_count(recipe))
    recipe = recipe.model_copy(update={"attachments": _attachments(recipe, attach, inspector.layers)})
    problems = check_recipe(recipe, inspector.layers)
    if problems:
        raise StudioError(problems[0].text)
    census = inspector.parameter_counts(recipe.attachments, head=recipe.head.trainable)
    return LayerReport(recipe.backbone, inspector.layers, census)


def _attachments(recipe: Recipe, lines: Sequence[str], layers: tuple[Layer, ...]) -> tuple[Attachment, ...]:
    from studio.cli.attach_spec import parse_attachment

    found = list(recipe.attachments)
    for line in lines:
        found.append(parse_attachment(line, layers, [a.name for a in found]))
    return tuple(found)


def _load_recipe(subject: str) -> Recipe:
    path = Path(subject)
    if path.suffix == ".toml" or (path.is_dir() and (path / "recipe.toml").is_file()):
        file = path / "recipe.toml" if path.is_dir() else path
        return Recipe.load(file).with_absolute_paths(file.absolute().parent)
    return Recipe(backbone=resolve_backbone(subject))


def resolve_backbone(subject: str) -> Backbone:
    """The recipe's words for a bundled name, a timm name, or a timm model folder."""
    from studio.core import paths

    if (paths.resource(subject) / "config.json").is_file():
        return Backbone(name=subject, source="bundled")
    if (Path(subject) / "config.json").is_file():
        return Backbone(name=Path(subject).absolute().name, source="local", weights=str(Path(subject).absolute()))
    return Backbone(name=subject, source="timm")


def _class_count(recipe: Recipe) -> int | None:
    """As many classes as the recipe's images have; None, the backbone's own, while there are none to be found."""
    from studio.data.dataset.dataset import build_index

    try:
        return len(build_index(recipe.data).classes)
    except StudioError:
        return None
