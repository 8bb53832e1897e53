"""The queue at work: when a run has ended, the next recipe begins by itself."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal

from studio.app.queue import Queue, Waiting
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.services.trainer import Trainer


class RecipeQueue(QObject):
    """Recipes wait here while something trains. A run that the user stops holds the queue up until it is started."""

    changed = Signal(object)
    failed = Signal(object)

    def __init__(self, trainer: Trainer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self._queue = Queue()
        self._current: Waiting | None = None
        self._words = ""
        trainer.preparing.connect(lambda: setattr(self, "_words", ""))
        trainer.began.connect(self._began)
        trainer.failed.connect(lambda words: setattr(self, "_words", words))
        trainer.ended.connect(self._ended, Qt.ConnectionType.QueuedConnection)  # after all who show the end

    @property
    def rows(self) -> tuple[Waiting, ...]:
        """What waits, in the order of its turns."""
        return self._queue.rows

    @property
    def startable(self) -> bool:
        """Whether something waits while nothing trains."""
        return self._queue.next is not None and not self._trainer.running

    def add(self, recipe: Recipe) -> None:
        """Put a frozen copy of ``recipe`` at the end."""
        self._do(lambda: self._queue.add(recipe))

    def remove(self, *ids: str) -> None:
        """Take rows out."""
        self._do(lambda: self._queue.remove(*ids))

    def move(self, row_id: str, place: int) -> None:
        """Put a row at another place."""
        self._do(lambda: self._queue.move(row_id, place))

    def retry(self, row_id: str) -> None:
        """Give a row that failed another turn."""
        self._do(lambda: self._queue.blame(row_id, ""))

    def start(self) -> None:
        """Train the first recipe that waits."""
        for row in self.rows:
            if not row.problem and not self._trainer.running:
                self._start(row)

    def _start(self, row: Waiting) -> None:
        try:
            recipe = row.recipe
        except StudioError as error:
            words = str(error)
            self._do(lambda: self._queue.blame(row.id, words))
        else:
            self._current = row
            self._trainer.start(recipe)

    def _began(self, run: Run) -> None:
        """The run's own folder holds the recipe from here on."""
        if self._current is not None:
            row = self._current
            self._do(lambda: self._queue.remove(row.id))

    def _ended(self, run: Run | None) -> None:
        row, self._current = self._current, None
        if row is not None and self._words and not (run and run.path.exists()):
            words = self._words
            self._do(lambda: self._queue.put_back(row, words))
        if not self._trainer.was_stopped:
            self.start()
        self.changed.emit(self.rows)

    def _do(self, change: Callable[[], object]) -> None:
        try:
            change()
        except StudioError as error:
            self.failed.emit(tr(str(error)))
        self.changed.emit(self.rows)
