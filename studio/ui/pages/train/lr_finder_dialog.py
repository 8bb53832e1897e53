"""Finding a learning rate by trying: the loss while the rate rises, and what to take from it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QDialog, QProgressBar, QVBoxLayout, QWidget

from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.services.background import sentence
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Column, Notice, Row, button, holder, text

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.estimation.lr_finder import LRFinderResult


class RateDialog(QDialog):
    """``chosen`` carries the rate that the user takes."""

    chosen = Signal(object)

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._control: TrainControl | None = None
        self._rate = 0.0
        self.setWindowTitle(tr("Find a learning rate"))
        self.resize(680, 480)
        self.words = text("", "muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)
        self.bar.setAccessibleName(tr("Progress"))
        self.notice = Notice()
        self._place = QVBoxLayout()
        self._place.setContentsMargins(0, 0, 0, 0)
        self.use = button("", self._use, kind="primary")
        self.use.setDefault(True)
        self.setLayout(
            Column(
                text(tr("Find a learning rate"), "title"),
                self.words,
                self.bar,
                (holder(self._place), 1),
                self.notice,
                Row(None, button(tr("Cancel"), self.reject), self.use),
                gap=10,
                margins=(24, 20, 24, 20),
            )
        )

    def begin(self) -> None:
        """Show the dialog, and try rates with the recipe as it is."""
        from studio.core.control import TrainControl
        from studio.ui.shared.line_plot import Plot

        if not self._place.count():
            self.plot = Plot(tr("Loss"), bottom=None, digits=3)
            self.plot.show_log_x()
            self._place.addWidget(self.plot)
        self.plot.show_lines([])
        self.notice.say("")
        self.words.setText(tr("The rate rises from step to step until the loss goes up for good. No run is changed."))
        self.bar.show()
        self.use.setVisible(False)
        self.open()
        control, recipe = TrainControl(), self._workspace.recipe
        self._control = control
        self._workspace.lane.submit(lambda: _find(recipe, control), self._found, self._failed, key="find rate")

    def _found(self, curve: "LRFinderResult") -> None:
        if self._control is None or self._control.stopping:
            return
        from studio.ui.pages.train.plot_series import rate_line

        self._control = None
        self.bar.hide()
        self.plot.show_lines([rate_line(curve.rates, curve.losses, curve.suggestion)])
        self._rate = curve.suggestion
        self.words.setText(
            tr("The star marks the suggestion: well before the loss is lowest, where it still falls steeply.")
            if curve.clear
            else tr("The loss did not fall enough to tell; the suggestion is what is usual for these methods.")
        )
        self.use.setText(tr("Use {rate:g}", rate=self._rate))
        self.use.setVisible(True)
        self.use.setFocus()

    def _failed(self, error: Exception) -> None:
        if self._control is not None and not self._control.stopping:
            self._control = None
            self.bar.hide()
            self.notice.say(sentence(error), "bad")

    def _use(self) -> None:
        self.chosen.emit(self._rate)
        self.accept()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: the dialog is left; what is tried is stopped."""
        super().hideEvent(event)
        if self._control is not None:
            self._control.stop()
            self._control = None


def _find(recipe: Recipe, control: "TrainControl") -> "LRFinderResult":
    from studio.app.lr_finder_text import find_rate

    return find_rate(recipe, control)
