"""The run queue: when a run has ended, the next recipe starts automatically."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal

from studio.app.queue import QueuedRecipe, QueueFile
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.services.error_text import error_message
from studio.ui.services.recipe_edits import with_value
from studio.ui.services.trainer import TrainingController


class RunQueue(QObject):
    """Recipes that wait while a run trains. After a run that the user stopped, the queue waits to be started."""

    changed = Signal(object)
    failed = Signal(object)

    def __init__(self, trainer: TrainingController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self._queue = QueueFile()
        self._current: QueuedRecipe | None = None
        self._error = ""
        trainer.preparing.connect(lambda: setattr(self, "_error", ""))
        trainer.started.connect(self._began)
        trainer.failed.connect(lambda text: setattr(self, "_error", str(text)))
        trainer.ended.connect(self._ended, Qt.ConnectionType.QueuedConnection)  # after all that show the end

    @property
    def rows(self) -> tuple[QueuedRecipe, ...]:
        """The recipes that wait, in their order."""
        return self._queue.rows

    @property
    def startable(self) -> bool:
        """Whether a recipe waits while no run trains."""
        return self._queue.next_runnable is not None and not self._trainer.running

    def add(self, recipe: Recipe) -> None:
        """Put a frozen copy of ``recipe`` at the end."""
        self._apply(lambda: self._queue.add(recipe))

    def remove(self, *ids: str) -> None:
        """Remove rows."""
        self._apply(lambda: self._queue.remove(*ids))

    def move(self, row_id: str, position: int) -> None:
        """Move a row to another position."""
        self._apply(lambda: self._queue.move(row_id, position))

    def retry(self, row_id: str) -> None:
        """Let a row that failed wait again."""
        self._apply(lambda: self._queue.mark_failed(row_id, ""))

    def replace_failed(self, recipe: Recipe, path: str, value: object) -> None:
        """Queue ``recipe``, which failed, with another value at the dotted ``path``, in place of its failed rows."""
        failed = [row.id for row in self.rows if row.problem and _recipe_of(row) == recipe]

        def replace() -> None:
            self._queue.add(with_value(recipe, path, value))
            self._queue.remove(*failed)

        self._apply(replace)
        if not self._trainer.running:
            self.start()

    def start(self) -> None:
        """Train the first recipe that waits."""
        for row in self.rows:
            if not row.problem and not self._trainer.running:
                self._start(row)

    def _start(self, row: QueuedRecipe) -> None:
        try:
            recipe = row.recipe
        except StudioError as error:
            problem = str(error)
            self._apply(lambda: self._queue.mark_failed(row.id, problem))
        else:
            self._current = row
            self._trainer.start(recipe, queued=True)

    def _began(self, run: Run) -> None:
        """The run's own folder holds the recipe from here on."""
        if self._current is not None:
            row = self._current
            self._apply(lambda: self._queue.remove(row.id))

    def _ended(self, run: Run | None) -> None:
        row, self._current = self._current, None
        if row is not None and self._error and not (run and run.path.exists()):
            problem = self._error
            self._apply(lambda: self._queue.requeue(row, problem))
        if not self._trainer.was_stopped:
            self.start()
        self.changed.emit(self.rows)

    def _apply(self, change: Callable[[], object]) -> None:
        try:
            change()
        except StudioError as error:
            self.failed.emit(error_message(error))
        self.changed.emit(self.rows)


def _recipe_of(row: QueuedRecipe) -> Recipe | None:
    try:
        return row.recipe
    except StudioError:
        return None
