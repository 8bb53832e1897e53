"""Several tasks on one backbone: adapters side by side, their attachments' strengths, and fusing them."""

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
    """One attachment of a task: whether it takes part and how strongly (0 to 2), and why it cannot by halves."""

    name: str
    label: str
    parameters: int
    enabled: bool
    strength: float
    not_scalable_reason: str


class TaskSet:
    """Adapters that the export ``adapter`` wrote, on the one backbone that all of them were trained on.

    Nothing of the backbone is copied for one more task, and each answers exactly as it does alone. It belongs to one
    thread at a time.
    """

    def __init__(self, adapter_set: "AdapterSet") -> None:
        self._adapter_set = adapter_set
        self._folders: dict[str, Path] = {}
        self._classifiers: dict[str, Classifier] = {}

    @classmethod
    def open(cls, sources: Sequence[Path]) -> Self:
        """Load the backbone of the first of ``sources``, adapters or runs, and put all of them on it.

        Raises StudioError where one is neither, or belongs to another backbone.
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
        """The tasks, in the order in which they came."""
        return tuple(self._folders)

    def add(self, source: Path) -> str:
        """Put one more adapter or run on the backbone and return what it is called."""
        return self._add(adapter_folder(source), source)

    def _add(self, folder: Path, source: Path) -> str:
        from studio.app.prediction import read_labels_and_preprocessing
        from studio.peft.targets import unique_name

        name = unique_name(source.absolute().name, self.names)
        member = self._adapter_set.add(name, folder)
        _, preprocessing = read_labels_and_preprocessing(folder)
        self._folders[name] = folder
        self._classifiers[name] = Classifier(self._adapter_set.module, member.labels, preprocessing)
        return name

    def remove(self, name: str) -> None:
        """Take a task off the backbone; KeyError where there is none."""
        self._adapter_set.remove(name)
        del self._folders[name], self._classifiers[name]

    def predict(self, name: str, images: Sequence[Path]) -> list[ImagePrediction]:
        """Classify image files as ``name`` does, with its switches and strengths as they are."""
        self._adapter_set.activate(name)
        return self._classifiers[name].predict(images)

    def activate(self, name: str) -> "tuple[AdaptedModel, Classifier]":
        """The backbone with this task on it, and what answers with it; until another task is asked."""
        return self._adapter_set.activate(name).attached, self._classifiers[name]

    def predict_all(self, images: Sequence[Path]) -> dict[str, list[ImagePrediction]]:
        """What each task says to each image."""
        return {name: self.predict(name, images) for name in self.names}

    def controls(self, name: str) -> list[AdapterControl]:
        """The attachments of a task as they are set now."""
        attached = self._adapter_set.entry(name).attached
        return [_control(attached, counted) for counted in attached.parameter_counts().attachments]

    def set_enabled(self, name: str, attachment: str, enabled: bool) -> None:
        """Let one attachment of a task take part or not."""
        self._adapter_set.activate(name).attached.set_enabled(attachment, enabled)

    def set_strength(self, name: str, attachment: str, strength: float) -> None:
        """Let one attachment of a task take part by ``strength``, 0 to 2; StudioError where it cannot by halves."""
        self._adapter_set.activate(name).attached.set_strength(attachment, strength)

    def fusion_recipe(self, recipe: Recipe) -> Recipe:
        """``recipe`` with an AdapterFusion of these tasks' adapters in the place of its attachments.

        Raises StudioError with the reason where they cannot be fused.
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
    """The adapter folder that ``source`` is, or that of a run, exported now where it has not been before."""
    from studio.export import export
    from studio.peft.adapter_file import MANIFEST_NAME

    if (source / MANIFEST_NAME).is_file():
        return source
    if not (source / "recipe.toml").is_file():
        raise StudioError(f"{source} is neither an adapter nor a run; export a run as adapter to use it as a task.")
    folder = source.joinpath(*ADAPTER_EXPORT_PATH)
    if not (folder / MANIFEST_NAME).is_file():
        export(Run.open(source), "adapter", folder)
    return folder
