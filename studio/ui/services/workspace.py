"""What the pages share: the document, and everything that is derived from it in the background."""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.ui.i18n.language import tr
from studio.ui.services import recipe_edits
from studio.ui.services.attachment_editor import Attaching
from studio.ui.services.background import Lane
from studio.ui.services.baseline import NumberToBeat
from studio.ui.services.document import Document
from studio.ui.services.downloads import Downloads
from studio.ui.services.drag_payload import Carried
from studio.ui.services.engine import Counted, Engine
from studio.ui.services.image_scan import Images, Scan
from studio.ui.services.resource_estimator import Needs
from studio.ui.services.run_queue import RecipeQueue
from studio.ui.services.trainer import Runs, Trainer
from studio.ui.services.tree_data import Badge, Marks, Spot

DEFAULT_CLASSES = 10
"""Outputs of the head that counts are made with before the images are known."""


class Workspace(QObject):
    """Holds the document; keeps layer tree, counts and image folder up to date with it."""

    refused = Signal(object)
    step_wanted = Signal(object)
    pulled = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.document = Document()
        self.engine = Engine(self)
        self.images = Images(self)
        self.trainer = Trainer(self)
        self.runs = Runs(self.trainer, self)
        self.queue = RecipeQueue(self.trainer, self)
        self.downloads = Downloads(self)
        self.lane = Lane("results", self)
        self.to_beat = NumberToBeat(self.images, self.engine, self.trainer, self)
        self.needs = Needs(self.document, self)
        self.attaching = Attaching(self.document, self.engine, self.attempt)
        self.document.changed.connect(self._recipe_changed)
        self.images.changed.connect(self._images_changed)
        self.engine.loaded.connect(self.recount)

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
        self.lane.close()
        self.needs.close()
        self.to_beat.close()
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

    def recount(self) -> None:
        """Ask the engine for layers and counts of the recipe."""
        if self.engine.ready:
            self.engine.count(self.recipe, self.classes)

    def _recipe_changed(self, recipe: Recipe) -> None:
        self.images.follow(recipe)
        self.recount()

    def _images_changed(self, scan: Scan) -> None:
        if scan.summary:
            self.recount()

    def tell_again(self) -> None:
        """Let all who show the document, or what is derived from it, show it anew; nothing has changed."""
        self.document.changed.emit(self.recipe)
        self.images.changed.emit(self.images.scan)
        if self.engine.last is not None:
            self.engine.counted.emit(self.engine.last)
        self.runs.changed.emit(self.runs.rows)

    # edits

    def attempt(self, action: Callable[[], Any]) -> bool:
        """Do ``action``; where it is refused, say why through :attr:`refused`."""
        try:
            action()
        except StudioError as error:
            self.refused.emit(tr(str(error)))
            return False
        return True

    def set_value(self, path: str, value: Any) -> None:
        """Change the value at the dotted ``path`` of the recipe as one step of the history."""
        words = tr(path.rpartition(".")[2].replace("_", " "))
        self.attempt(
            lambda: self.document.edit(
                tr("Change {what}", what=words), recipe_edits.replaced(self.recipe, path, value), path
            )
        )

    def attach(self, carried: Carried, spots: Sequence[Spot]) -> bool:
        """Attach a method, a preset or a copy at ``spots`` as one step of the history."""
        return self.attaching.attach(carried, spots)

    def preview(self, attachments: Sequence[Attachment], done: Callable[[int], None]) -> None:
        """Call ``done`` with the number of parameters that ``attachments`` would add to what trains now."""
        census = self.engine.last.census if self.engine.last else None
        if census is not None:
            recipe = recipe_edits.with_attachments(self.recipe, attachments)
            self.engine.preview(recipe, self.classes, lambda trains: done(trains - census.trainable_parameters))

    def detach(self, names: set[str]) -> None:
        """Remove the attachments called ``names``."""
        words = tr("Remove {names}", names=", ".join(sorted(names)))
        self.document.edit(words, recipe_edits.without_attachments(self.recipe, names))

    def change_attachment(self, name: str, changes: dict[str, Any], merge: str = "") -> None:
        """Change values of the attachment called ``name``."""
        self.change_attachments({name: changes}, merge)

    def change_attachments(self, changes: dict[str, dict[str, Any]], merge: str = "") -> None:
        """Change values of several attachments as one step; steps with the same ``merge`` become one."""
        first = next(iter(changes.values()), {})
        what = tr((merge if "config" in first else ", ".join(first)).replace("_", " "))
        words = tr("Change {what} of {name}", what=what, name=", ".join(changes))
        key = f"{','.join(changes)}.{merge}" if merge else ""
        self.attempt(
            lambda: self.document.edit(words, recipe_edits.with_changed_attachments(self.recipe, changes), key)
        )


def marks(recipe: Recipe, counted: Counted | None, engine: Engine) -> Marks:
    """Badges for the tree, with counts where ``counted`` has them for the same attachment."""
    badges: dict[str, tuple[Badge, ...]] = {}
    census = counted.census if counted else None
    known = {a.name: a for a in counted.recipe.attachments} if counted else {}
    counts = {a.name: a.per_site for a in census.attachments} if census else {}
    for attachment in recipe.attachments:
        if attachment != known.get(attachment.name):
            counts.pop(attachment.name, None)
        words = badge_words(attachment, engine)
        resolution = engine.resolve(attachment)
        for layer in resolution.matched:
            per_site = counts.get(attachment.name, {}).get(layer.path)
            badge = Badge(attachment.name, words, per_site, attachment.enabled, attachment.slices)
            badges[layer.path] = (*badges.get(layer.path, ()), badge)
    return Marks(badges, recipe.head.trainable)


def badge_words(attachment: Attachment, engine: Engine) -> str:
    """``LoRA r8``; the method's name alone where the method is not installed."""
    try:
        method = engine.method(attachment.method)
        detail = method.badge(method.configure(attachment.config))
    except StudioError:
        return attachment.method
    return f"{method.label} {detail}".strip()
