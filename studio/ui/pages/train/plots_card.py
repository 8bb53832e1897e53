"""The curves of a run, or of several: what it says of itself above, four plots below."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QProgressBar,
    QScrollArea,
    QSlider,
    QStackedWidget,
    QWidget,
)

from studio.core import events
from studio.ui.i18n.language import tr
from studio.ui.pages.train import run_status_text
from studio.ui.pages.train.run_history import History
from studio.ui.services.background import Turns
from studio.ui.widgets.components import Card, Column, Empty, Notice, Row, button, holder, text
from studio.ui.widgets.fields import guard_wheel

if TYPE_CHECKING:
    from studio.ui.shared.line_plot import Line, Plot

SMOOTHING = 60
"""Of 100; where the slider stands at first."""
_DRAW_SECONDS = 0.6
"""Curves are drawn no more often than that while a run goes on."""
_MANY = 50_000
_REST = 100
"""A plot of many points is drawn again when a hundred times as long as it took has passed."""
_TWO_LINES = 54
_LEAST_BELOW = 320
_LEAST_WITH_MESSAGES = 312
_TWO_ROWS = 290
"""Points of height from which on all four plots are shown."""


class _Grid(QWidget):
    """Two plots beside each other, and two below where there is room for them."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: there is more room or less."""
        super().resizeEvent(event)
        self.resized.emit()


class Messages(QScrollArea):
    """Notices one below the other, as high as they need to be while that leaves room for the curves."""

    def __init__(self, *notices: Notice) -> None:
        super().__init__()
        self._notices = notices
        self._inner = holder(Column(*notices, None, gap=7), "scrolled")
        self.setWidget(self._inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)

    def fit(self, height: int) -> None:
        """Take what the notices need of a card of ``height``, as long as the curves keep theirs."""
        shown = [notice for notice in self._notices if not notice.isHidden()]
        wide = self.viewport().width() or 600
        needed = sum(notice.heightForWidth(wide) for notice in shown) + 7 * max(0, len(shown) - 1)
        self._inner.setFixedHeight(needed)  # its own hint is for narrow notices, and would be scrolled for nothing
        self.setFixedHeight(min(needed, max(_TWO_LINES, height - _LEAST_BELOW)))
        self.setVisible(bool(shown))


class Curves(Card):
    """Shows histories; knows nothing of who trains."""

    def __init__(self) -> None:
        super().__init__("", padding=14)
        self.stage, self.detail = text("", "heading"), text("", "muted")
        self.facts = text("", "caption", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(tr("Progress"))
        self.trouble, self.advice = Notice(), Notice()
        self.plots: tuple[Plot, ...] = ()
        self._turns = Turns(self)
        self._advised: events.Evaluation | None = None
        self._runs: Sequence[History] = ()
        self._due = 0.0
        self._late = QTimer(self, singleShot=True)
        self._late.timeout.connect(self._draw_all)
        self.grid = _Grid()
        self.grid.resized.connect(self._arrange)
        self._build()

    def _build(self) -> None:
        self.empty = Empty(
            "results",
            tr("Nothing is trained yet"),
            tr("Press Start training. Loss, accuracy and learning rate are drawn here while it goes on."),
        )
        layout = QGridLayout(self.grid)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(20)
        layout.setVerticalSpacing(6)
        self.messages = Messages(self.trouble, self.advice)
        head = Column(Row(self.stage, None, self.detail), self.bar, self.facts, self.messages, gap=7)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(holder(Column(head, self._tools(), (self.grid, 1), gap=8)))
        self.body.addWidget(self.stack, 1)

    def _tools(self) -> Row:
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 99)
        self.smoothing.setValue(SMOOTHING)
        self.smoothing.setFixedWidth(120)
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.setToolTip(tr("How much the noise of single steps is smoothed out; 0 shows them as they are"))
        guard_wheel(self.smoothing)
        self.weight = text("", "caption")
        self.weight.setMinimumWidth(28)
        self.smoothing.valueChanged.connect(self._smooth)
        self.log = QCheckBox(tr("Logarithmic loss"))
        self.log.toggled.connect(lambda on: self.plots[0].show_log(on) if self.plots else None)
        self.where = text(tr("over epochs"), "caption")
        self.swap = button(tr("Rate and speed"), self._arrange, kind="quiet")
        self.swap.setCheckable(True)
        self.whole = button(tr("Show all"), self._show_all, kind="quiet")
        self.whole.setToolTip(tr("Bring the curves into view from beginning to end"))
        self._smooth(SMOOTHING)
        label = text(tr("Smoothing"), "caption")
        return Row(label, self.smoothing, self.weight, 12, self.log, None, self.where, self.swap, self.whole)

    def make_plots(self) -> None:
        """Make the plots; imports pyqtgraph, which takes a moment."""
        if self.plots:
            return
        from studio.ui.shared.line_plot import Plot

        self.loss, self.accuracy = Plot(tr("Loss"), bottom=0), Plot(tr("Accuracy"), bottom=0, shares=True)
        self.rate, self.speed = Plot(tr("Learning rate"), bottom=0, digits=3), Plot(tr("Images a second"), bottom=0)
        self.plots = (self.loss, self.accuracy, self.rate, self.speed)
        for plot in self.plots:
            plot.pointed.connect(self._point)
            plot.smooth(self.smoothing.value() / 100)
        self.plots[0].show_log(self.log.isChecked())
        self._arrange()

    def _arrange(self) -> None:
        """All four plots where there is room; else the two that were asked for."""
        layout = self.grid.layout()
        assert isinstance(layout, QGridLayout)
        tall = self.grid.height() >= _TWO_ROWS
        self.swap.setVisible(not tall)
        upper = not self.swap.isChecked()
        for number, plot in enumerate(self.plots):
            row, column = divmod(number, 2)
            layout.addWidget(plot, row if tall else 0, column)
            plot.setVisible(tall or (row == 0) == upper)
        layout.setRowStretch(0, 3)
        layout.setRowStretch(1, 2 if tall else 0)

    # showing

    def show_nothing(self) -> None:
        """No run is chosen."""
        self.stack.setCurrentIndex(0)

    def show_checking(self) -> None:
        """A run is about to begin."""
        self.make_plots()
        self.stage.setText(tr("Checking the recipe"))
        for label in (self.detail, self.facts):
            label.setText("")
        for notice in (self.trouble, self.advice):
            self._say(notice, "", "info")
        self._advised = None
        self.bar.setValue(0)
        self.stack.setCurrentIndex(1)

    def show_reading(self) -> None:
        """A long run is being read."""
        self.show_checking()
        self.stage.setText(tr("Reading the run"))

    def show_run(
        self, history: History, live: bool, stopping: bool, pausing: bool, to_beat: float | None = None
    ) -> None:
        """Say how the run stands; ``to_beat`` is the accuracy that the bare backbone reaches, where it is known."""
        self.stack.setCurrentIndex(1)
        self.stage.setText(run_status_text.stage(history, live, stopping, pausing))
        self.detail.setText(run_status_text.detail(history, live))
        self.facts.setText(run_status_text.facts(history, live, to_beat))
        self.facts.setVisible(bool(self.facts.text()))
        self.bar.setValue(round(1000 * history.progress))
        self._say(self.trouble, *run_status_text.trouble(history))
        if history.last is not self._advised or history.last is None:
            self._advised = history.last
            self._say(self.advice, run_status_text.advice(history), "warn")

    def show_curves(self, runs: Sequence[History]) -> None:
        """Draw the runs, one plot a tick, so that no tick holds up the window; long curves less often."""
        self.make_plots()
        self._runs = runs
        wait = self._due - time.monotonic()
        if wait <= 0:
            self._due = time.monotonic() + _DRAW_SECONDS
            self._draw_all()
        elif not self._late.isActive():
            self._late.start(round(1000 * wait) + 1)

    def _draw_all(self) -> None:
        for number, name in enumerate(("loss", "accuracy", "rate", "speed")):
            self._turns.want(name, lambda number=number, name=name: self._draw(number, name))  # type: ignore[misc]

    def _draw(self, number: int, name: str) -> None:
        from studio.ui.pages.train.plot_series import lines

        began = time.monotonic()
        found: Sequence[Line] = lines(name, self._runs)
        self.plots[number].show_lines(found)
        took = time.monotonic() - began
        if sum(len(line.x) for line in found) > _MANY:
            self._due = max(self._due, began + _REST * took)

    def _say(self, notice: Notice, words: str, tone: str) -> None:
        if notice.words != words:
            notice.say(words, tone)
            self.messages.fit(self.height())
            self.setMinimumHeight(0 if self.messages.isHidden() else _LEAST_WITH_MESSAGES)

    def say_again(self) -> None:
        """Make room for the messages as they are in another language."""
        self.messages.fit(self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: messages take a part of the height at most; beyond that they scroll."""
        super().resizeEvent(event)
        self.messages.fit(self.height())

    # tools

    def _smooth(self, value: int) -> None:
        self.weight.setText(f"{value / 100:.2f}")
        for plot in self.plots:
            self._turns.want(f"smooth {plot.title}", lambda plot=plot: plot.smooth(value / 100))  # type: ignore[misc]

    def _point(self, epoch: float | None) -> None:
        for plot in self.plots:
            plot.point_at(epoch)
        self.where.setText(tr("over epochs") if epoch is None else tr("epoch {n:.2f}", n=epoch))

    def _show_all(self) -> None:
        for plot in self.plots:
            plot.show_all()
