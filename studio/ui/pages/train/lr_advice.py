"""Help with the numbers that nobody knows by heart: a learning rate, and steps enough."""

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.train.lr_finder_dialog import RateDialog
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Column, Row, button, text


class RateHelp(QWidget):
    """Says what suits the recipe's methods and images; ``wanted`` carries settings of the training to change."""

    wanted = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._better: dict[str, Any] = {}
        self._rate = 0.0
        self.dialog: RateDialog | None = None
        self.suggestion, self.few = text("", "caption", wrap=True), text("", "bad", wrap=True)
        self.use_rate = button(tr("Use it"), lambda: self.wanted.emit({"learning_rate": self._rate}), kind="quiet")
        self.use_better = button("", lambda: self.wanted.emit(self._better), kind="quiet")
        self.try_rates = button(tr("Find a learning rate…"), self._find, "search")
        self.try_rates.setToolTip(tr("Try rising rates for about a hundred steps; no run is changed"))
        self.setLayout(
            Column(
                Row((self.suggestion, 1), self.use_rate),
                self.few,
                Row(self.use_better, None),
                self.try_rates,
                gap=4,
            )
        )
        workspace.document.changed.connect(lambda recipe: self._show())
        workspace.images.changed.connect(lambda scan: self._show())
        workspace.engine.loaded.connect(self._show)
        for signal in (workspace.trainer.preparing, workspace.trainer.ended):
            signal.connect(lambda *_: self._show())
        self._show()

    def _show(self) -> None:
        ready, recipe = self._workspace.engine.ready, self._workspace.recipe
        self.setVisible(ready)
        if ready:
            self._show_rate(recipe)
            self._show_steps(recipe)
            self.try_rates.setEnabled(not self._workspace.trainer.running and self._images > 0)

    @property
    def _images(self) -> int:
        summary = self._workspace.images.scan.summary
        return summary.counts["train"] if summary else 0

    def _show_rate(self, recipe: Recipe) -> None:
        from studio.app.suggested_hparams import suggested_learning_rate

        self._rate = suggested_learning_rate(recipe)
        same = abs(self._rate - recipe.training.learning_rate) < 1e-3 * self._rate
        self.suggestion.setText(tr("Usual rate for these methods: {rate:g}", rate=self._rate))
        self.use_rate.setVisible(not same)

    def _show_steps(self, recipe: Recipe) -> None:
        from studio.app.suggested_hparams import few_steps, suggested_training

        few = bool(self._images and few_steps(recipe, self._images))
        for part in (self.few, self.use_better):
            part.setVisible(few)
        if few:
            settings, better = recipe.training, suggested_training(recipe, self._images)
            steps = settings.epochs * -(-self._images // settings.batch_size)
            self._better = {"epochs": better.epochs, "batch_size": better.batch_size}
            self.few.setText(tr("{n} steps are few to learn from.", n=steps))
            words = tr("Use {epochs} epochs in batches of {size}", epochs=better.epochs, size=better.batch_size)
            self.use_better.setText(words)

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: the page or the window is left; what is tried goes no further."""
        super().hideEvent(event)
        if self.dialog is not None:
            self.dialog.reject()

    def _find(self) -> None:
        if self.dialog is None:
            self.dialog = RateDialog(self._workspace, self)
            self.dialog.chosen.connect(lambda rate: self.wanted.emit({"learning_rate": rate}))
        self.dialog.begin()
