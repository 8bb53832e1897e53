"""The services that the pages share: the document, and everything derived from it in the background."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Attachment, Data, Recipe
from studio.ui.services import recipe_edits
from studio.ui.services.attachment_editor import AttachmentEditor, RecipeEdit
from studio.ui.services.background import WorkerThread
from studio.ui.services.baseline import BaselineRunner
from studio.ui.services.document import Document
from studio.ui.services.downloads import Downloads
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.engine import Engine
from studio.ui.services.error_text import error_message, field_titles
from studio.ui.services.image_scan import ImageScanner, ScanResult
from studio.ui.services.resource_estimator import ResourceEstimator
from studio.ui.services.run_queue import RunQueue
from studio.ui.services.trainer import RunRegistry, TrainingController
from studio.ui.services.tree_data import NodeRef

DEFAULT_CLASSES = 10
"""Outputs of the head for the counts before the images are known."""


class Workspace(QObject):
    """Holds the document; keeps layer tree, counts and image folder up to date with it.

    ``edit_rejected`` carries the reason, ``page_requested`` the name of a page and ``sample_requested`` asks for the
    sample project. ``chosen_method`` is the method chosen in the palette.
    """

    edit_rejected = Signal(object)
    step_requested = Signal(object)
    page_requested = Signal(object)
    sample_requested = Signal()
    grad_norms_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.chosen_method = ""
        self.document = Document()
        self.engine = Engine(self)
        self.images = ImageScanner(self)
        self.trainer = TrainingController(self)
        self.runs = RunRegistry(self.trainer, self)
        self.queue = RunQueue(self.trainer, self)
        self.downloads = Downloads(self)
        self.worker = WorkerThread("results", self)
        self.baseline = BaselineRunner(self.images, self.engine, self.trainer, self)
        self.resource_estimator = ResourceEstimator(self.document, self)
        self.attachment_editor = AttachmentEditor(self.document, self.engine)
        self.document.changed.connect(self._recipe_changed)
        self.images.changed.connect(self._images_changed)
        self.engine.loaded.connect(self.refresh_counts)

    def start(self) -> None:
        """Start to load the engine, and read the runs and images."""
        self.engine.start()
        self.runs.start()
        self._recipe_changed(self.document.recipe)

    def close(self) -> None:
        """Stop all work, threads and signals; listeners may be gone already."""
        self.trainer.close()
        self.runs.close()
        self.downloads.close()
        self.worker.close()
        self.resource_estimator.close()
        self.baseline.close()
        self.images.close()
        self.engine.close()
        self.document.close()
        for part in vars(self).values():
            if isinstance(part, QObject):
                part.blockSignals(True)

    @property
    def recipe(self) -> Recipe:
        """The document's recipe."""
        return self.document.recipe

    @property
    def classes(self) -> int:
        """Number of classes of the images; :data:`DEFAULT_CLASSES` while unknown."""
        return self.images.scan.classes or DEFAULT_CLASSES

    def refresh_counts(self) -> None:
        """Ask the engine for layers and counts of the recipe."""
        if self.engine.ready:
            self.engine.count(self.recipe, self.classes)

    def _recipe_changed(self, recipe: Recipe) -> None:
        self.images.update_recipe(recipe)
        self.refresh_counts()

    def _images_changed(self, scan: ScanResult) -> None:
        if scan.summary:
            self.refresh_counts()

    # edits

    def run_edit(self, action: Callable[[], Any]) -> bool:
        """Run ``action`` and return True; if it raises StudioError, emit :attr:`edit_rejected` and return False."""
        try:
            action()
        except StudioError as error:
            self.edit_rejected.emit(error_message(error))
            return False
        return True

    def apply_edit(self, make: Callable[[], RecipeEdit]) -> bool:
        """Push the edit that ``make`` returns as one step of the history; return whether it was possible."""

        def push() -> None:
            edit = make()
            self.document.edit(edit.text, edit.recipe)

        return self.run_edit(push)

    def set_value(self, path: str, value: Any) -> None:
        """Change the value at the dotted ``path`` of the recipe as one step of the history."""
        title = field_titles().get(path, path)
        self.run_edit(
            lambda: self.document.edit(
                N_("Change {what}", what=title), recipe_edits.with_value(self.recipe, path, value), path
            )
        )

    def attach(self, payload: DragPayload, refs: Sequence[NodeRef]) -> bool:
        """Attach a method, a preset or a copy at ``refs`` as one step of the history."""
        return self.apply_edit(lambda: self.attachment_editor.attach(payload, refs))

    def attach_as_is(self, attachment: Attachment) -> bool:
        """Add ``attachment`` as it is as one step of the history."""
        return self.apply_edit(lambda: self.attachment_editor.attach_as_is(attachment))

    def move(self, lifted: LiftedAttachment, refs: Sequence[NodeRef]) -> bool:
        """Move ``lifted`` to ``refs`` as one step of the history."""
        return self.apply_edit(lambda: self.attachment_editor.move(lifted, refs))

    def detach_at(self, places: Sequence[tuple[str, NodeRef]]) -> bool:
        """Remove the attachments of these names at these places as one step of the history."""
        return self.apply_edit(lambda: self.attachment_editor.detach(places))

    def use_images(self, path: Path | str) -> None:
        """Use the images at ``path``; decisions about single images of the folder before do not apply to them."""
        data = self.recipe.data
        if str(path) != data.path:
            changed = Data(path=str(path), split=data.split, transforms=data.transforms)
            self.document.edit(N_("Choose images"), recipe_edits.with_data(self.recipe, changed))

    def preview(self, attachments: Sequence[Attachment], done: Callable[[int], None]) -> None:
        """Call ``done`` with the number of parameters that ``attachments`` would add to the trainable ones."""
        counts = self.engine.last_counts.parameter_counts if self.engine.last_counts else None
        if counts is not None:
            recipe = recipe_edits.with_attachments(self.recipe, attachments)
            self.engine.preview(recipe, self.classes, lambda trainable: done(trainable - counts.trainable_parameters))

    def detach(self, names: set[str]) -> None:
        """Remove the attachments called ``names``."""
        text = N_("Remove {names}", names=", ".join(sorted(names)))
        self.document.edit(text, recipe_edits.without_attachments(self.recipe, names))

    def change_attachment(self, name: str, changes: dict[str, Any], merge_key: str = "") -> None:
        """Change values of the attachment called ``name``."""
        self.change_attachments({name: changes}, merge_key)

    def change_attachments(self, changes: dict[str, dict[str, Any]], merge_key: str = "") -> None:
        """Change values of several attachments as one step; steps with the same ``merge_key`` become one."""
        names = ", ".join(changes)
        what = self._change_title(changes, merge_key)
        text = N_("Change {what} of {name}", what=what, name=names) if what else N_("Change {name}", name=names)
        key = f"{','.join(changes)}.{merge_key}" if merge_key else ""
        self.run_edit(
            lambda: self.document.edit(text, recipe_edits.with_changed_attachments(self.recipe, changes), key)
        )

    def _change_title(self, changes: dict[str, dict[str, Any]], merge_key: str) -> str:
        """Return the title of the field that ``changes`` are about: of the method, or of the attachment itself."""
        name, values = next(iter(changes.items()), ("", {}))
        if "config" not in values:
            return field_titles().get(f"attachments.{next(iter(values), '')}", "")
        try:
            fields = self.engine.method(self.recipe.find_attachment(name).method).Config.model_fields
        except StudioError:
            return merge_key.replace("_", " ")
        info = fields.get(merge_key)
        return (info.title if info else None) or merge_key.replace("_", " ")
