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
from studio.ui.pages.train.run_history import RunHistory
from studio.ui.services.background import FrameScheduler
from studio.ui.widgets.components import Banner, Card, EmptyState, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel

if TYPE_CHECKING:
    from studio.ui.shared.line_plot import LinePlot, PlotSeries

DEFAULT_SMOOTHING = 60
"""Of 100; where the slider stands at first."""
_DRAW_SECONDS = 0.6
"""Curves are drawn no more often than that while a run goes on."""
_MANY_POINTS = 50_000
_REDRAW_PAUSE_FACTOR = 100
"""A plot of many points is drawn again when a hundred times as long as it took has passed."""
_MIN_MESSAGE_HEIGHT = 54
_MIN_PLOT_HEIGHT = 320
_MIN_HEIGHT_WITH_MESSAGES = 312
_TWO_ROW_HEIGHT = 290
"""Points of height from which on all four plots are shown."""


class _PlotGrid(QWidget):
    """Two plots beside each other, and two below where there is room for them."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: there is more room or less."""
        super().resizeEvent(event)
        self.resized.emit()


class BannerStack(QScrollArea):
    """Notices one below the other, as high as they need to be while that leaves room for the curves."""

    def __init__(self, *notices: Banner) -> None:
        super().__init__()
        self._banners = notices
        self._inner = container(VBox(*notices, None, gap=7), "scrolled")
        self.setWidget(self._inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)

    def fit_height(self, height: int) -> None:
        """Take what the notices need of a card of ``height``, as long as the curves keep theirs."""
        shown = [notice for notice in self._banners if not notice.isHidden()]
        wide = self.viewport().width() or 600
        needed = sum(notice.heightForWidth(wide) for notice in shown) + 7 * max(0, len(shown) - 1)
        self._inner.setFixedHeight(needed)  # its own hint is for narrow notices, and would be scrolled for nothing
        self.setFixedHeight(min(needed, max(_MIN_MESSAGE_HEIGHT, height - _MIN_PLOT_HEIGHT)))
        self.setVisible(bool(shown))


class PlotsCard(Card):
    """Shows histories; knows nothing of who trains."""

    def __init__(self) -> None:
        super().__init__("", padding=14)
        self.status_label, self.progress_label = text_label("", "heading"), text_label("", "muted")
        self.best_label = text_label("", "caption", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(tr("Progress"))
        self.problem_banner, self.advice_banner = Banner(), Banner()
        self.plots: tuple[LinePlot, ...] = ()
        self._scheduler = FrameScheduler(self)
        self._advised_evaluation: events.Evaluation | None = None
        self._runs: Sequence[RunHistory] = ()
        self._next_draw_time = 0.0
        self._draw_timer = QTimer(self, singleShot=True)
        self._draw_timer.timeout.connect(self._draw_all)
        self.grid = _PlotGrid()
        self.grid.resized.connect(self._arrange)
        self._build()

    def _build(self) -> None:
        self.empty = EmptyState(
            "results",
            tr("Nothing is trained yet"),
            tr("Press Start training. Loss, accuracy and learning rate are drawn here while it goes on."),
        )
        layout = QGridLayout(self.grid)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(20)
        layout.setVerticalSpacing(6)
        self.messages = BannerStack(self.problem_banner, self.advice_banner)
        head = VBox(HBox(self.status_label, None, self.progress_label), self.bar, self.best_label, self.messages, gap=7)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(container(VBox(head, self._build_toolbar(), (self.grid, 1), gap=8)))
        self.body.addWidget(self.stack, 1)

    def _build_toolbar(self) -> HBox:
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 99)
        self.smoothing.setValue(DEFAULT_SMOOTHING)
        self.smoothing.setFixedWidth(120)
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.setToolTip(tr("How much the noise of single steps is smoothed out; 0 shows them as they are"))
        guard_wheel(self.smoothing)
        self.smoothing_label = text_label("", "caption")
        self.smoothing_label.setMinimumWidth(28)
        self.smoothing.valueChanged.connect(self._smooth)
        self.log_loss_box = QCheckBox(tr("Logarithmic loss"))
        self.log_loss_box.toggled.connect(lambda on: self.plots[0].set_log_y(on) if self.plots else None)
        self.position_label = text_label(tr("over epochs"), "caption")
        self.swap_button = button(tr("Rate and speed"), self._arrange, kind="quiet")
        self.swap_button.setCheckable(True)
        self.show_all_button = button(tr("Show all"), self._show_all, kind="quiet")
        self.show_all_button.setToolTip(tr("Bring the curves into view from beginning to end"))
        self._smooth(DEFAULT_SMOOTHING)
        label = text_label(tr("Smoothing"), "caption")
        return HBox(
            label,
            self.smoothing,
            self.smoothing_label,
            12,
            self.log_loss_box,
            None,
            self.position_label,
            self.swap_button,
            self.show_all_button,
        )

    def make_plots(self) -> None:
        """Make the plots; imports pyqtgraph, which takes a moment."""
        if self.plots:
            return
        from studio.ui.shared.line_plot import LinePlot

        self.loss_plot, self.accuracy_plot = (
            LinePlot(tr("Loss"), bottom=0),
            LinePlot(tr("Accuracy"), bottom=0, as_percent=True),
        )
        self.lr_plot, self.throughput_plot = (
            LinePlot(tr("Learning rate"), bottom=0, digits=3),
            LinePlot(tr("Images a second"), bottom=0),
        )
        self.plots = (self.loss_plot, self.accuracy_plot, self.lr_plot, self.throughput_plot)
        for plot in self.plots:
            plot.pointer_moved.connect(self._show_pointer)
            plot.set_smoothing(self.smoothing.value() / 100)
        self.plots[0].set_log_y(self.log_loss_box.isChecked())
        self._arrange()

    def _arrange(self) -> None:
        """All four plots where there is room; else the two that were asked for."""
        layout = self.grid.layout()
        assert isinstance(layout, QGridLayout)
        tall = self.grid.height() >= _TWO_ROW_HEIGHT
        self.swap_button.setVisible(not tall)
        upper = not self.swap_button.isChecked()
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
        self.status_label.setText(tr("Checking the recipe"))
        for label in (self.progress_label, self.best_label):
            label.setText("")
        for notice in (self.problem_banner, self.advice_banner):
            self._show_message(notice, "", "info")
        self._advised_evaluation = None
        self.bar.setValue(0)
        self.stack.setCurrentIndex(1)

    def show_reading(self) -> None:
        """A long run is being read."""
        self.show_checking()
        self.status_label.setText(tr("Reading the run"))

    def show_run(
        self, history: RunHistory, live: bool, stopping: bool, pausing: bool, baseline_accuracy: float | None = None
    ) -> None:
        """Say how the run stands; ``baseline_accuracy`` is the accuracy that the bare backbone reaches, where it is known."""
        self.stack.setCurrentIndex(1)
        self.status_label.setText(run_status_text.status_text(history, live, stopping, pausing))
        self.progress_label.setText(run_status_text.progress_text(history, live))
        self.best_label.setText(run_status_text.best_text(history, live, baseline_accuracy))
        self.best_label.setVisible(bool(self.best_label.text()))
        self.bar.setValue(round(1000 * history.progress))
        self._show_message(self.problem_banner, *run_status_text.problem_text(history))
        if history.last_evaluation is not self._advised_evaluation or history.last_evaluation is None:
            self._advised_evaluation = history.last_evaluation
            self._show_message(self.advice_banner, run_status_text.advice_text(history), "warn")

    def show_curves(self, runs: Sequence[RunHistory]) -> None:
        """Draw the runs, one plot a tick, so that no tick holds up the window; long curves less often."""
        self.make_plots()
        self._runs = runs
        wait = self._next_draw_time - time.monotonic()
        if wait <= 0:
            self._next_draw_time = time.monotonic() + _DRAW_SECONDS
            self._draw_all()
        elif not self._draw_timer.isActive():
            self._draw_timer.start(round(1000 * wait) + 1)

    def _draw_all(self) -> None:
        for number, name in enumerate(("loss", "accuracy", "rate", "speed")):
            self._scheduler.schedule(name, lambda number=number, name=name: self._draw(number, name))  # type: ignore[misc]

    def _draw(self, number: int, name: str) -> None:
        from studio.ui.pages.train.plot_series import series_for

        began = time.monotonic()
        found: Sequence[PlotSeries] = series_for(name, self._runs)
        self.plots[number].show_series(found)
        took = time.monotonic() - began
        if sum(len(line.x) for line in found) > _MANY_POINTS:
            self._next_draw_time = max(self._next_draw_time, began + _REDRAW_PAUSE_FACTOR * took)

    def _show_message(self, banner: Banner, message: str, tone: str) -> None:
        if banner.message != message:
            banner.show_message(message, tone)
            self.messages.fit_height(self.height())
            self.setMinimumHeight(0 if self.messages.isHidden() else _MIN_HEIGHT_WITH_MESSAGES)

    def retranslate(self) -> None:
        """Make room for the messages as they are in another language."""
        self.messages.fit_height(self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: messages take a part of the height at most; beyond that they scroll."""
        super().resizeEvent(event)
        self.messages.fit_height(self.height())

    # tools

    def _smooth(self, value: int) -> None:
        self.smoothing_label.setText(f"{value / 100:.2f}")
        for plot in self.plots:
            self._scheduler.schedule(f"smooth {plot.title}", lambda plot=plot: plot.set_smoothing(value / 100))  # type: ignore[misc]

    def _show_pointer(self, epoch: float | None) -> None:
        for plot in self.plots:
            plot.show_pointer_at(epoch)
        self.position_label.setText(tr("over epochs") if epoch is None else tr("epoch {n:.2f}", n=epoch))

    def _show_all(self) -> None:
        for plot in self.plots:
            plot.show_all()
