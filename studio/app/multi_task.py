"""Several tasks on one backbone: adapters side by side, their attachments' strengths, and fusing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studio.app.prediction import Answer, Classifier
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    from studio.peft import Attached, AttachmentCensus
    from studio.peft.multi_adapter import Pack

OWN_EXPORT = ("exports", "adapter")


@dataclass(frozen=True, slots=True)
class Dial:
    """One attachment of a task: whether it takes part and how strongly (0 to 2), and why it cannot by halves."""

    name: str
    label: str
    parameters: int
    on: bool
    strength: float
    refusal: str


class Tasks:
    """Adapters that the export ``adapter`` wrote, on the one backbone that all of them were trained on.

    Nothing of the backbone is copied for one more task, and each answers exactly as it does alone. It belongs to one
    thread at a time.
    """

    def __init__(self, pack: "Pack") -> None:
        self._pack = pack
        self._folders: dict[str, Path] = {}
        self._classifiers: dict[str, Classifier] = {}

    @classmethod
    def open(cls, sources: Sequence[Path]) -> Self:
        """Load the backbone of the first of ``sources``, adapters or runs, and put all of them on it.

        Raises StudioError where one is neither, or belongs to another backbone.
        """
        from studio.export.adapter import bare
        from studio.peft.multi_adapter import Pack

        folders = [folder_of(source) for source in sources]
        tasks = cls(Pack(bare(folders[0])))
        for folder, source in zip(folders, sources, strict=True):
            tasks._add(folder, source)
        return tasks

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, in the order in which they came."""
        return tuple(self._folders)

    def add(self, source: Path) -> str:
        """Put one more adapter or run on the backbone and return what it is called."""
        return self._add(folder_of(source), source)

    def _add(self, folder: Path, source: Path) -> str:
        from studio.app.prediction import described
        from studio.peft.targets import unused_name

        name = unused_name(source.absolute().name, self.names)
        member = self._pack.add(name, folder)
        _, preprocessing = described(folder)
        self._folders[name] = folder
        self._classifiers[name] = Classifier(self._pack.module, member.labels, preprocessing)
        return name

    def remove(self, name: str) -> None:
        """Take a task off the backbone; KeyError where there is none."""
        self._pack.remove(name)
        del self._folders[name], self._classifiers[name]

    def answer(self, name: str, images: Sequence[Path]) -> list[Answer]:
        """Classify image files as ``name`` does, with its switches and strengths as they are."""
        self._pack.activate(name)
        return self._classifiers[name].answer(images)

    def placed(self, name: str) -> "tuple[Attached, Classifier]":
        """The backbone with this task on it, and what answers with it; until another task is asked."""
        return self._pack.activate(name).attached, self._classifiers[name]

    def side_by_side(self, images: Sequence[Path]) -> dict[str, list[Answer]]:
        """What each task says to each image."""
        return {name: self.answer(name, images) for name in self.names}

    def dials(self, name: str) -> list[Dial]:
        """The attachments of a task as they are set now."""
        attached = self._pack.member(name).attached
        return [_dial(attached, counted) for counted in attached.census().attachments]

    def switch(self, name: str, attachment: str, on: bool) -> None:
        """Let one attachment of a task take part or not."""
        self._pack.activate(name).attached.switch(attachment, on)

    def set_strength(self, name: str, attachment: str, strength: float) -> None:
        """Let one attachment of a task take part by ``strength``, 0 to 2; StudioError where it cannot by halves."""
        self._pack.activate(name).attached.set_strength(attachment, strength)

    def fused(self, recipe: Recipe) -> Recipe:
        """``recipe`` with an AdapterFusion of these tasks' adapters in the place of its attachments.

        Raises StudioError with the reason where they cannot be fused.
        """
        from studio.app.inspection import Inspector
        from studio.export.adapter import backbone_of
        from studio.peft.contract import METHODS
        from studio.peft.targets import default_attachment

        backbone = backbone_of(next(iter(self._folders.values())))
        fields = {"adapters": [str(folder.absolute()) for folder in self._folders.values()]}
        fusion = default_attachment(METHODS.get("fusion"), Inspector(backbone).layers, config=fields)
        return recipe.model_copy(update={"backbone": backbone, "attachments": (fusion,)})


def _dial(attached: "Attached", counted: "AttachmentCensus") -> Dial:
    name, method = counted.name, attached.method(counted.name)
    return Dial(
        name=name,
        label=method.label if method else counted.method,
        parameters=counted.parameters,
        on=attached.is_enabled(name),
        strength=attached.strength(name),
        refusal=attached.strength_refusal(name),
    )


def folder_of(source: Path) -> Path:
    """The adapter folder that ``source`` is, or that of a run, exported now where it has not been before."""
    from studio.export import export
    from studio.peft.adapter_file import DESCRIPTION

    if (source / DESCRIPTION).is_file():
        return source
    if not (source / "recipe.toml").is_file():
        raise StudioError(f"{source} is neither an adapter nor a run; export a run as adapter to use it as a task.")
    folder = source.joinpath(*OWN_EXPORT)
    if not (folder / DESCRIPTION).is_file():
        export(Run.open(source), "adapter", folder)
    return folder
