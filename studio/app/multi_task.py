"""Several adapters on one backbone: switching, scaling and fusing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studio.app.prediction import Classifier, ImagePrediction
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    from studio.peft import AdaptedModel, AttachmentCounts
    from studio.peft.multi_adapter import AdapterSet

ADAPTER_EXPORT_PATH = ("exports", "adapter")


@dataclass(frozen=True, slots=True)
class AdapterControl:
    """One attachment of a task with its settings; ``strength`` is in [0, 2]."""

    name: str
    label: str
    parameters: int
    enabled: bool
    strength: float
    not_scalable_reason: str


class TaskSet:
    """Adapters of the export ``adapter`` on the backbone that they were trained on.

    Another task copies nothing of the backbone, and each predicts exactly as it does alone. For one thread at a time.
    """

    def __init__(self, adapter_set: "AdapterSet") -> None:
        self._adapter_set = adapter_set
        self._folders: dict[str, Path] = {}
        self._classifiers: dict[str, Classifier] = {}

    @classmethod
    def open(cls, sources: Sequence[Path]) -> Self:
        """Load the backbone of the first of ``sources``, adapters or runs, and add all.

        Raises StudioError if one is neither, or belongs to another backbone.
        """
        from studio.export.adapter import load_bare_backbone
        from studio.peft.multi_adapter import AdapterSet

        folders = [adapter_folder(source) for source in sources]
        tasks = cls(AdapterSet(load_bare_backbone(folders[0])))
        for folder, source in zip(folders, sources, strict=True):
            tasks._add(folder, source)
        return tasks

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks, in the order in which they were added."""
        return tuple(self._folders)

    def add(self, source: Path) -> str:
        """Add an adapter or a run and return its name."""
        return self._add(adapter_folder(source), source)

    def _add(self, folder: Path, source: Path) -> str:
        from studio.app.prediction import read_labels_and_preprocessing
        from studio.peft.targets import unique_name

        name = unique_name(source.absolute().name, self.names)
        entry = self._adapter_set.add(name, folder)
        _, preprocessing = read_labels_and_preprocessing(folder)
        self._folders[name] = folder
        self._classifiers[name] = Classifier(self._adapter_set.module, entry.labels, preprocessing)
        return name

    def remove(self, name: str) -> None:
        """Remove a task; KeyError if there is none."""
        self._adapter_set.remove(name)
        del self._folders[name], self._classifiers[name]

    def predict(self, name: str, images: Sequence[Path]) -> list[ImagePrediction]:
        """Classify image files with the task ``name`` and its current settings."""
        self._adapter_set.activate(name)
        return self._classifiers[name].predict(images)

    def activate(self, name: str) -> "tuple[AdaptedModel, Classifier]":
        """Return the model and classifier of a task, valid until another is activated."""
        return self._adapter_set.activate(name).attached, self._classifiers[name]

    def predict_all(self, images: Sequence[Path]) -> dict[str, list[ImagePrediction]]:
        """Return the predictions of each task."""
        return {name: self.predict(name, images) for name in self.names}

    def controls(self, name: str) -> list[AdapterControl]:
        """Return the attachments of a task with their settings."""
        attached = self._adapter_set.entry(name).attached
        return [_control(attached, counted) for counted in attached.parameter_counts().attachments]

    def set_enabled(self, name: str, attachment: str, enabled: bool) -> None:
        """Enable or disable one attachment of a task."""
        self._adapter_set.activate(name).attached.set_enabled(attachment, enabled)

    def set_strength(self, name: str, attachment: str, strength: float) -> None:
        """Scale one attachment of a task by 0 to 2; StudioError if it cannot be scaled."""
        self._adapter_set.activate(name).attached.set_strength(attachment, strength)

    def fusion_recipe(self, recipe: Recipe) -> Recipe:
        """Return ``recipe`` with an AdapterFusion of these tasks as its only attachment.

        Raises StudioError with the reason if they cannot be fused.
        """
        from studio.app.inspection import Inspector
        from studio.export.adapter import read_backbone
        from studio.peft.contract import METHODS
        from studio.peft.targets import default_attachment

        backbone = read_backbone(next(iter(self._folders.values())))
        fields = {"adapters": [str(folder.absolute()) for folder in self._folders.values()]}
        fusion = default_attachment(METHODS.get("fusion"), Inspector(backbone).layers, config=fields)
        return recipe.model_copy(update={"backbone": backbone, "attachments": (fusion,)})


def _control(model: "AdaptedModel", counted: "AttachmentCounts") -> AdapterControl:
    name, method = counted.name, model.method(counted.name)
    return AdapterControl(
        name=name,
        label=method.label if method else counted.method,
        parameters=counted.parameters,
        enabled=model.is_enabled(name),
        strength=model.strength(name),
        not_scalable_reason=model.not_scalable_reason(name),
    )


def adapter_folder(source: Path) -> Path:
    """Return the adapter folder ``source``, or that of a run, exported if necessary."""
    from studio.export import export
    from studio.peft.adapter_file import MANIFEST_NAME

    if (source / MANIFEST_NAME).is_file():
        return source
    if not (source / "recipe.toml").is_file():
        raise StudioError(
            "not-an-adapter",
            "{path} is neither an adapter nor a run. Export a run as adapter to use it here.",
            path=source,
        )
    folder = source.joinpath(*ADAPTER_EXPORT_PATH)
    if not (folder / MANIFEST_NAME).is_file():
        export(Run.open(source), "adapter", folder)
    return folder
