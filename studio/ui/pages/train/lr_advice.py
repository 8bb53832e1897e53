"""Suggested learning rate, epochs and batch size for the recipe."""

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.train.lr_finder_dialog import LRFinderDialog
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import HBox, VBox, button, text_label


class LRAdvice(QWidget):
    """Suggested settings; ``change_requested`` carries those to change."""

    change_requested = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._suggested_values: dict[str, Any] = {}
        self._suggested_lr = 0.0
        self.dialog: LRFinderDialog | None = None
        self.suggestion_label, self.few_steps_label = (
            text_label("", "caption", wrap=True),
            text_label("", "bad", wrap=True),
        )
        self.use_lr_button = button(
            tr("Use this rate"), lambda: self.change_requested.emit({"learning_rate": self._suggested_lr}), kind="quiet"
        )
        self.use_suggestion_button = button(
            "", lambda: self.change_requested.emit(self._suggested_values), kind="quiet"
        )
        self.find_lr_button = button(tr("Find learning rate…"), self._open_lr_finder, "search")
        self.find_lr_button.setToolTip(tr("Try increasing rates for about 100 steps; no run is changed"))
        self.setLayout(
            VBox(
                HBox((self.suggestion_label, 1), self.use_lr_button),
                self.few_steps_label,
                HBox(self.use_suggestion_button, None),
                self.find_lr_button,
                gap=4,
            )
        )
        workspace.document.changed.connect(self._show)
        workspace.images.changed.connect(self._show)
        for signal in (workspace.engine.loaded, workspace.trainer.preparing, workspace.trainer.ended):
            signal.connect(self._show)
        self._show()

    def _show(self) -> None:
        ready, recipe = self._workspace.engine.ready, self._workspace.recipe
        self.setVisible(ready)
        if ready:
            self._show_lr(recipe)
            self._show_steps(recipe)
            self.find_lr_button.setEnabled(not self._workspace.trainer.running and self._images > 0)

    @property
    def _images(self) -> int:
        summary = self._workspace.images.scan.summary
        return summary.counts["train"] if summary else 0

    def _show_lr(self, recipe: Recipe) -> None:
        from studio.app.suggested_hparams import suggested_learning_rate

        self._suggested_lr = suggested_learning_rate(recipe)
        same = abs(self._suggested_lr - recipe.training.learning_rate) < 1e-3 * self._suggested_lr
        self.suggestion_label.setText(tr("Usual rate for these methods: {rate:g}", rate=self._suggested_lr))
        self.use_lr_button.setVisible(not same)

    def _show_steps(self, recipe: Recipe) -> None:
        from studio.app.suggested_hparams import suggested_training, too_few_steps_warning

        few = bool(self._images and too_few_steps_warning(recipe, self._images))
        for widget in (self.few_steps_label, self.use_suggestion_button):
            widget.setVisible(few)
        if few:
            settings, suggested = recipe.training, suggested_training(recipe, self._images)
            steps = settings.epochs * -(-self._images // settings.batch_size)
            self._suggested_values = {"epochs": suggested.epochs, "batch_size": suggested.batch_size}
            self.few_steps_label.setText(
                tr_n("{n:,} training step is too few.", "{n:,} training steps are too few.", steps)
            )
            self.use_suggestion_button.setText(
                tr_n(
                    "Use {n} epoch, batch size {size}",
                    "Use {n} epochs, batch size {size}",
                    suggested.epochs,
                    size=suggested.batch_size,
                )
            )

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: the page or the window is hidden; stop the search."""
        super().hideEvent(event)
        if self.dialog is not None:
            self.dialog.reject()

    def _open_lr_finder(self) -> None:
        if self.dialog is None:
            self.dialog = LRFinderDialog(self._workspace, self)
            self.dialog.chosen.connect(lambda rate: self.change_requested.emit({"learning_rate": rate}))
        self.dialog.start()
