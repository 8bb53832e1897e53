"""What the pages share: the document, and everything that is derived from it in the background."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.ui import edits
from studio.ui.document import Document
from studio.ui.engine import Counted, Engine
from studio.ui.images import Images, Scan
from studio.ui.jobs import Lane
from studio.ui.models.layer_nodes import Badge, Marks, Spot
from studio.ui.training import Runs, Trainer

DEFAULT_CLASSES = 10
"""Outputs of the head that counts are made with before the images are known."""


class Workspace(QObject):
    """Holds the document; keeps layer tree, counts and image folder up to date with it."""

    refused = Signal(object)
    step_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.document = Document()
        self.engine = Engine(self)
        self.images = Images(self)
        self.trainer = Trainer(self)
        self.runs = Runs(self.trainer, self)
        self.lane = Lane("results", self)
        self.document.changed.connect(self._recipe_changed)
        self.images.changed.connect(self._images_changed)
        self.engine.loaded.connect(self.recount)

    def start(self) -> None:
        """Begin to load the engine, and read what there is."""
        self.engine.start()
        self.runs.refresh()
        self._recipe_changed(self.document.recipe)

    def close(self) -> None:
        """Stop what runs and end all threads."""
        self.trainer.close()
        self.lane.close()
        self.images.close()
        self.engine.close()
        self.document.close()

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

    # edits

    def attempt(self, action: Callable[[], Any]) -> bool:
        """Do ``action``; where it is refused, say why through :attr:`refused`."""
        try:
            action()
        except StudioError as error:
            self.refused.emit(str(error))
            return False
        return True

    def set_value(self, path: str, value: Any) -> None:
        """Change the value at the dotted ``path`` of the recipe as one step of the history."""
        words = path.rpartition(".")[2].replace("_", " ")
        self.attempt(lambda: self.document.edit(f"Change {words}", edits.replaced(self.recipe, path, value), path))

    def refusal(self, method: str, spots: tuple[Spot, ...]) -> str:
        """Why ``method`` cannot attach at ``spots``; empty where it can."""
        try:
            self.proposal(method, spots)
        except StudioError as error:
            return str(error)
        return ""

    def proposal(self, method: str, spots: tuple[Spot, ...]) -> Attachment:
        """What attaching ``method`` at ``spots`` would add; StudioError where it cannot."""
        return self.engine.proposal(method, spots, tuple(a.name for a in self.recipe.attachments))

    def attach(self, method: str, spots: tuple[Spot, ...]) -> None:
        """Attach ``method`` at ``spots`` as one step of the history."""
        self.attempt(lambda: self._attach(self.proposal(method, spots)))

    def _attach(self, attachment: Attachment) -> None:
        label = self.engine.method(attachment.method).label
        self.document.edit(f"Attach {label}", edits.with_attachment(self.recipe, attachment))

    def targets(self, attachment: Attachment) -> frozenset[str]:
        """The paths of the layers that ``attachment`` attaches to."""
        return frozenset(layer.path for layer in self.engine.resolve(attachment).matched)

    def preview(self, attachment: Attachment, done: Callable[[int], None]) -> None:
        """Call ``done`` with the number of parameters that ``attachment`` would add to what trains now."""
        census = self.engine.last.census if self.engine.last else None
        if census is not None:
            recipe = edits.with_attachment(self.recipe, attachment)
            self.engine.preview(recipe, self.classes, lambda trains: done(trains - census.trainable_parameters))

    def detach(self, names: set[str]) -> None:
        """Remove the attachments called ``names``."""
        words = f"Remove {', '.join(sorted(names))}"
        self.document.edit(words, edits.without_attachments(self.recipe, names))

    def change_attachment(self, name: str, changes: dict[str, Any], merge: str = "") -> None:
        """Change values of the attachment called ``name``."""
        what = ", ".join(changes).replace("_", " ") if "config" not in changes else merge.replace("_", " ")
        recipe = self.recipe
        self.attempt(
            lambda: self.document.edit(
                f"Change {what} of {name}",
                edits.with_changed_attachment(recipe, name, changes),
                f"{name}.{merge}" if merge else "",
            )
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
