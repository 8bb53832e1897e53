"""The document: the recipe being edited, its file, and the history of edits."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.ui.i18n.language import localized


class _Edit(QUndoCommand):
    """Replaces one recipe by another. Edits with the same non-empty key become one step."""

    def __init__(
        self, text: str, change: tuple[Recipe, Recipe], merge_key: str, show: Callable[[Recipe], None]
    ) -> None:
        super().__init__(localized(text))
        self.old, self.new = change
        self.merge_key = merge_key
        self._text, self._show = text, show

    def retranslate(self) -> None:
        """Name the step in the window's language."""
        self.setText(localized(self._text))

    def id(self) -> int:
        """Return the same number for all edits, so that Qt asks :meth:`mergeWith`."""
        return 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Absorb ``other``, the next edit of the same value."""
        if not isinstance(other, _Edit) or not self.merge_key or other.merge_key != self.merge_key:
            return False
        self.new = other.new
        self.setObsolete(self.new == self.old)
        return True

    def redo(self) -> None:
        """Show the new recipe."""
        self._show(self.new)

    def undo(self) -> None:
        """Show the old recipe."""
        self._show(self.old)


class Document(QObject):
    """Holds the recipe. All changes go through :meth:`edit`, so that each can be undone."""

    changed = Signal(object)
    file_changed = Signal()

    def __init__(self, recipe: Recipe | None = None) -> None:
        super().__init__()
        self._recipe = recipe or Recipe()
        self._path: Path | None = None
        self._saved_bytes: bytes | None = None
        self.undo_stack = QUndoStack(self)
        self.undo_stack.cleanChanged.connect(lambda clean: self.file_changed.emit())

    @property
    def recipe(self) -> Recipe:
        """The recipe as it is now; immutable."""
        return self._recipe

    @property
    def path(self) -> Path | None:
        """The file that it was last read from or written to."""
        return self._path

    @property
    def name(self) -> str:
        """The name of its file, or a message that it has none."""
        return self._path.name if self._path else N_("Untitled recipe")

    @property
    def modified(self) -> bool:
        """Whether it differs from its file."""
        return not self.undo_stack.isClean()

    @property
    def changed_on_disk(self) -> bool:
        """Whether another program has changed its file since it was read or written here."""
        now = _read_bytes(self._path)
        return now is not None and now != self._saved_bytes

    def edit(self, text: str, recipe: Recipe, merge_key: str = "") -> None:
        """Replace the recipe as one step of the history called ``text``; do nothing if it is the same.

        ``text`` is a message, so that the step is named in the window's language, also after that has changed.
        """
        if recipe != self._recipe:
            self.undo_stack.push(_Edit(text, (self._recipe, recipe), merge_key, self._show))

    def retranslate_history(self) -> None:
        """Name the steps of the history in the window's language."""
        for number in range(self.undo_stack.count()):
            command = self.undo_stack.command(number)
            if isinstance(command, _Edit):
                command.retranslate()

    def open(self, path: Path) -> None:
        """Replace document and history by the recipe in ``path``; raise StudioError if it cannot be read."""
        self._reset(Recipe.load(path).with_absolute_paths(path.resolve().parent), path)

    def new(self, recipe: Recipe | None = None) -> None:
        """Start again with ``recipe``, without a file."""
        self._reset(recipe or Recipe(), None)

    def recover(self, recipe: Recipe, path: Path | None) -> None:
        """Show unsaved edits as one step after the recipe in their file, so that undo leads back to that."""
        try:
            self.open(path) if path else self.new()
        except StudioError:
            self.new()
        self.edit(N_("Restore unsaved edits"), recipe)

    def save(self, path: Path) -> None:
        """Write the recipe to ``path``, which becomes its file; raise OSError if it cannot be written."""
        self._recipe.save(path)
        self._path, self._saved_bytes = path, _read_bytes(path)
        self.undo_stack.setClean()
        self.file_changed.emit()

    def close(self) -> None:
        """Stop all signals; Qt's undo stack would still emit some while it is destroyed."""
        self.undo_stack.blockSignals(True)

    def _reset(self, recipe: Recipe, path: Path | None) -> None:
        self.undo_stack.clear()
        self._path, self._saved_bytes = path, _read_bytes(path)
        self._show(recipe)
        self.file_changed.emit()

    def _show(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.changed.emit(recipe)


def _read_bytes(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError:
        return None
