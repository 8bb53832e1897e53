"""What the pages share: the document, and everything that is derived from it in the background."""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.ui.i18n.language import tr
from studio.ui.services import recipe_edits
from studio.ui.services.attachment_editor import AttachmentEditor
from studio.ui.services.background import WorkerThread
from studio.ui.services.baseline import BaselineRunner
from studio.ui.services.document import Document
from studio.ui.services.downloads import Downloads
from studio.ui.services.drag_payload import DragPayload
from studio.ui.services.engine import Engine, RecipeCounts
from studio.ui.services.image_scan import ImageScanner, ScanResult
from studio.ui.services.resource_estimator import ResourceEstimator
from studio.ui.services.run_queue import RunQueue
from studio.ui.services.trainer import RunRegistry, TrainingController
from studio.ui.services.tree_data import Badge, NodeRef, TreeAnnotations

DEFAULT_CLASSES = 10
"""Outputs of the head that counts are made with before the images are known."""


class Workspace(QObject):
    """Holds the document; keeps layer tree, counts and image folder up to date with it."""

    edit_rejected = Signal(object)
    step_requested = Signal(object)
    grad_norms_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
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
        self.attachment_editor = AttachmentEditor(self.document, self.engine, self.run_edit)
        self.document.changed.connect(self._recipe_changed)
        self.images.changed.connect(self._images_changed)
        self.engine.loaded.connect(self.refresh_counts)

    def start(self) -> None:
        """Begin to load the engine, and read what there is."""
        self.engine.start()
        self.runs.start()
        self._recipe_changed(self.document.recipe)

    def close(self) -> None:
        """Stop what runs and end all threads. What is on its way still says nothing more: who listened may be gone."""
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
        """Number of classes of the images, or a usual one while unknown."""
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

    def re_emit(self) -> None:
        """Let all who show the document, or what is derived from it, show it anew; nothing has changed."""
        self.document.changed.emit(self.recipe)
        self.images.changed.emit(self.images.scan)
        if self.engine.last_counts is not None:
            self.engine.counted.emit(self.engine.last_counts)
        self.runs.changed.emit(self.runs.rows)

    # edits

    def run_edit(self, action: Callable[[], Any]) -> bool:
        """Do ``action``; where it is refused, say why through :attr:`edit_rejected`."""
        try:
            action()
        except StudioError as error:
            self.edit_rejected.emit(tr(str(error)))
            return False
        return True

    def set_value(self, path: str, value: Any) -> None:
        """Change the value at the dotted ``path`` of the recipe as one step of the history."""
        words = tr(path.rpartition(".")[2].replace("_", " "))
        self.run_edit(
            lambda: self.document.edit(
                tr("Change {what}", what=words), recipe_edits.with_value(self.recipe, path, value), path
            )
        )

    def attach(self, payload: DragPayload, refs: Sequence[NodeRef]) -> bool:
        """Attach a method, a preset or a copy at ``refs`` as one step of the history."""
        return self.attachment_editor.attach(payload, refs)

    def preview(self, attachments: Sequence[Attachment], done: Callable[[int], None]) -> None:
        """Call ``done`` with the number of parameters that ``attachments`` would add to what trains now."""
        census = self.engine.last_counts.parameter_counts if self.engine.last_counts else None
        if census is not None:
            recipe = recipe_edits.with_attachments(self.recipe, attachments)
            self.engine.preview(recipe, self.classes, lambda trains: done(trains - census.trainable_parameters))

    def detach(self, names: set[str]) -> None:
        """Remove the attachments called ``names``."""
        words = tr("Remove {names}", names=", ".join(sorted(names)))
        self.document.edit(words, recipe_edits.without_attachments(self.recipe, names))

    def change_attachment(self, name: str, changes: dict[str, Any], merge_key: str = "") -> None:
        """Change values of the attachment called ``name``."""
        self.change_attachments({name: changes}, merge_key)

    def change_attachments(self, changes: dict[str, dict[str, Any]], merge_key: str = "") -> None:
        """Change values of several attachments as one step; steps with the same ``merge_key`` become one."""
        first = next(iter(changes.values()), {})
        what = tr((merge_key if "config" in first else ", ".join(first)).replace("_", " "))
        words = tr("Change {what} of {name}", what=what, name=", ".join(changes))
        key = f"{','.join(changes)}.{merge_key}" if merge_key else ""
        self.run_edit(
            lambda: self.document.edit(words, recipe_edits.with_changed_attachments(self.recipe, changes), key)
        )


def tree_annotations(recipe: Recipe, counted: RecipeCounts | None, engine: Engine) -> TreeAnnotations:
    """Badges for the tree, with counts where ``counted`` has them for the same attachment."""
    badges: dict[str, tuple[Badge, ...]] = {}
    census = counted.parameter_counts if counted else None
    known = {a.name: a for a in counted.recipe.attachments} if counted else {}
    counts = {a.name: a.per_site for a in census.attachments} if census else {}
    for attachment in recipe.attachments:
        if attachment != known.get(attachment.name):
            counts.pop(attachment.name, None)
        words = attachment_label(attachment, engine)
        resolution = engine.match_targets(attachment)
        for layer in resolution.matched:
            per_site = counts.get(attachment.name, {}).get(layer.path)
            badge = Badge(attachment.name, words, per_site, attachment.enabled, attachment.slices)
            badges[layer.path] = (*badges.get(layer.path, ()), badge)
    return TreeAnnotations(badges, recipe.head.trainable)


def attachment_label(attachment: Attachment, engine: Engine) -> str:
    """``LoRA r8``; the method's name alone where the method is not installed."""
    try:
        method = engine.method(attachment.method)
        detail = method.short_text(method.configure(attachment.config))
    except StudioError:
        return attachment.method
    return f"{method.label} {detail}".strip()
