"""Learning rate range test: loss over increasing rates, and a suggestion."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QDialog, QProgressBar, QVBoxLayout, QWidget

from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.widgets.components import Card, HBox, VBox, button, text_label

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.estimation.lr_finder import LRFinderResult


class LRFinderDialog(QDialog):
    """Dialog of the range test; ``chosen`` carries the accepted learning rate."""

    chosen = Signal(object)

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._control: TrainControl | None = None
        self._suggested_lr = 0.0
        self.setWindowTitle(tr("Find learning rate"))
        self.resize(680, 480)
        self.description = text_label("", "muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)
        self.bar.setAccessibleName(tr("Progress"))
        self.banner = ErrorBanner()
        self._plot_layout = QVBoxLayout()
        self._plot_layout.setContentsMargins(0, 0, 0, 0)
        self.use_button = button("", self._use, kind="primary")
        self.use_button.setDefault(True)
        self.setLayout(
            VBox(
                text_label(tr("Find learning rate"), "title"),
                self.description,
                self.bar,
                (Card("", (self._plot_layout, 1), padding=12), 1),
                self.banner,
                HBox(None, button(tr("Cancel"), self.reject), self.use_button),
                gap=10,
                margins=(24, 20, 24, 20),
            )
        )

    def start(self) -> None:
        """Show the dialog and run the test with the current recipe."""
        from studio.core.control import TrainControl
        from studio.ui.shared.line_plot import LinePlot

        if not self._plot_layout.count():
            self.plot = LinePlot(tr("Loss"), bottom=None, digits=3)
            self.plot.set_log_x()
            self._plot_layout.addWidget(self.plot)
        self.plot.show_series([])
        self.banner.show_message("")
        self.description.setText(
            tr("The learning rate increases with each step until the loss diverges. No run is changed.")
        )
        self.bar.show()
        self.use_button.setVisible(False)
        self.open()
        control, recipe = TrainControl(), self._workspace.recipe
        self._control = control
        self._workspace.worker.submit(
            lambda: _run_lr_finder(recipe, control), self._show_result, self._failed, key="find rate"
        )

    def _show_result(self, result: "LRFinderResult") -> None:
        if self._control is None or self._control.stopping:
            return
        from studio.ui.pages.train.plot_series import lr_finder_series

        self._control = None
        self.bar.hide()
        self.plot.show_series([lr_finder_series(result.rates, result.losses, result.suggestion)])
        self._suggested_lr = result.suggestion
        self.description.setText(
            tr("The star marks the suggestion: below the rate of the lowest loss, where the loss still falls steeply.")
            if result.clear
            else tr("The loss did not fall enough for a suggestion. This is the usual rate for these methods.")
        )
        self.use_button.setText(tr("Use {rate:g}", rate=self._suggested_lr))
        self.use_button.setVisible(True)
        self.use_button.setFocus()

    def _failed(self, error: Exception) -> None:
        if self._control is not None and not self._control.stopping:
            self._control = None
            self.bar.hide()
            self.banner.show_message(error_message(error), "bad")

    def _use(self) -> None:
        self.chosen.emit(self._suggested_lr)
        self.accept()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: the dialog is hidden; stop the test."""
        super().hideEvent(event)
        if self._control is not None:
            self._control.stop()
            self._control = None


def _run_lr_finder(recipe: Recipe, control: "TrainControl") -> "LRFinderResult":
    from studio.app.lr_finder import find_lr

    return find_lr(recipe, control)
