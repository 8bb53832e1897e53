"""The queue at work: when a run has ended, the next recipe begins by itself."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal

from studio.app.queue import QueuedRecipe, QueueFile
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.services.trainer import TrainingController


class RunQueue(QObject):
    """Recipes wait here while something trains. A run that the user stops holds the queue up until it is started."""

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
        trainer.failed.connect(lambda words: setattr(self, "_error", words))
        trainer.ended.connect(self._ended, Qt.ConnectionType.QueuedConnection)  # after all who show the end

    @property
    def rows(self) -> tuple[QueuedRecipe, ...]:
        """What waits, in the order of its turns."""
        return self._queue.rows

    @property
    def startable(self) -> bool:
        """Whether something waits while nothing trains."""
        return self._queue.next_runnable is not None and not self._trainer.running

    def add(self, recipe: Recipe) -> None:
        """Put a frozen copy of ``recipe`` at the end."""
        self._apply(lambda: self._queue.add(recipe))

    def remove(self, *ids: str) -> None:
        """Take rows out."""
        self._apply(lambda: self._queue.remove(*ids))

    def move(self, row_id: str, position: int) -> None:
        """Put a row at another place."""
        self._apply(lambda: self._queue.move(row_id, position))

    def retry(self, row_id: str) -> None:
        """Give a row that failed another turn."""
        self._apply(lambda: self._queue.mark_failed(row_id, ""))

    def start(self) -> None:
        """Train the first recipe that waits."""
        for row in self.rows:
            if not row.problem and not self._trainer.running:
                self._start(row)

    def _start(self, row: QueuedRecipe) -> None:
        try:
            recipe = row.recipe
        except StudioError as error:
            words = str(error)
            self._apply(lambda: self._queue.mark_failed(row.id, words))
        else:
            self._current = row
            self._trainer.start(recipe)

    def _began(self, run: Run) -> None:
        """The run's own folder holds the recipe from here on."""
        if self._current is not None:
            row = self._current
            self._apply(lambda: self._queue.remove(row.id))

    def _ended(self, run: Run | None) -> None:
        row, self._current = self._current, None
        if row is not None and self._error and not (run and run.path.exists()):
            words = self._error
            self._apply(lambda: self._queue.requeue(row, words))
        if not self._trainer.was_stopped:
            self.start()
        self.changed.emit(self.rows)

    def _apply(self, change: Callable[[], object]) -> None:
        try:
            change()
        except StudioError as error:
            self.failed.emit(tr(str(error)))
        self.changed.emit(self.rows)
