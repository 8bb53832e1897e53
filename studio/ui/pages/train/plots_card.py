"""State of a run above, and four plots of one run or of several below."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
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
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.widgets.components import Banner, Card, EmptyState, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel

if TYPE_CHECKING:
    from studio.ui.shared.line_plot import LinePlot, PlotSeries

DEFAULT_SMOOTHING = 60
"""Initial position of the slider, of 100."""
_DRAW_SECONDS = 0.6
"""Shortest time between two drawings of a plot."""
_MANY_POINTS = 50_000
_REDRAW_PAUSE_FACTOR = 100
"""A plot of many points waits so many times as long as its last drawing took."""
_MIN_MESSAGE_HEIGHT = 54
_MIN_PLOT_HEIGHT = 320
_MIN_HEIGHT_WITH_MESSAGES = 312
_TWO_ROW_HEIGHT = 290
"""Height in pixels from which all four plots are shown."""


class _PlotGrid(QWidget):
    """Two plots side by side, and two below if the height allows it."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: arrange the plots for the new size."""
        super().resizeEvent(event)
        self.resized.emit()


class BannerStack(QScrollArea):
    """Scrollable column of banners that leaves enough height for the plots."""

    def __init__(self, *banners: Banner) -> None:
        super().__init__()
        self._banners = banners
        self._inner = container(VBox(*banners, None, gap=7), "scrolled")
        self.setWidget(self._inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)

    def fit_height(self, height: int) -> None:
        """Take the height that the banners need, as far as the plots leave it."""
        shown = [banner for banner in self._banners if not banner.isHidden()]
        width = self.viewport().width() or 600
        needed = sum(banner.heightForWidth(width) for banner in shown) + 7 * max(0, len(shown) - 1)
        self._inner.setFixedHeight(needed)  # its own hint assumes narrow banners and would add a scroll bar
        self.setFixedHeight(min(needed, max(_MIN_MESSAGE_HEIGHT, height - _MIN_PLOT_HEIGHT)))
        self.setVisible(bool(shown))


class PlotsCard(Card):
    """Card that shows run histories; independent of the trainer."""

    def __init__(self) -> None:
        super().__init__("", padding=14)
        self.status_label, self.progress_label = text_label("", "heading"), text_label("", "muted")
        self.best_label = text_label("", "caption", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(tr("Progress"))
        self.problem_banner, self.advice_banner = ErrorBanner(), Banner()
        self.plots: tuple[LinePlot, ...] = ()
        self._scheduler = FrameScheduler(self)
        self._advised_evaluation: events.Evaluation | None = None
        self._runs: Sequence[RunHistory] = ()
        self._draw_seconds: dict[str, float] = {}
        self._pending_ranges: list[Any] = []
        self.grid = _PlotGrid()
        self.grid.resized.connect(self._arrange)
        self._build()

    def _build(self) -> None:
        self.empty = EmptyState(
            "results",
            tr("No run yet"),
            tr("Start training to see loss, accuracy and learning rate here."),
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
        self.smoothing.setToolTip(tr("EMA smoothing of the step curves; 0 shows the raw values"))
        guard_wheel(self.smoothing)
        self.smoothing_label = text_label("", "caption")
        self.smoothing_label.setMinimumWidth(28)
        self.smoothing.valueChanged.connect(self._smooth)
        self.log_loss_box = QCheckBox(tr("Logarithmic loss"))
        self.log_loss_box.toggled.connect(lambda on: self.plots[0].set_log_y(on) if self.plots else None)
        self.position_label = text_label(tr("over epochs"), "caption")
        self.swap_button = button(tr("Rate and speed"), self._arrange, kind="quiet")
        self.swap_button.setCheckable(True)
        self.show_all_button = button(tr("Reset zoom"), self._show_all, kind="quiet")
        self.show_all_button.setToolTip(tr("Show the curves from start to end"))
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
        """Create the plots; imports pyqtgraph, which takes about half a second."""
        if self.plots:
            return
        from studio.ui.shared.line_plot import LinePlot

        self.loss_plot, self.accuracy_plot = (
            LinePlot(tr("Loss"), bottom=0),
            LinePlot(tr("Accuracy"), bottom=0, as_percent=True),
        )
        self.lr_plot, self.throughput_plot = (
            LinePlot(tr("Learning rate"), bottom=0, digits=3),
            LinePlot(tr("Images per second"), bottom=0),
        )
        self.plots = (self.loss_plot, self.accuracy_plot, self.lr_plot, self.throughput_plot)
        for plot in self.plots:
            plot.pointer_moved.connect(self._show_pointer)
            plot.set_smoothing(self.smoothing.value() / 100)
        self.plots[0].set_log_y(self.log_loss_box.isChecked())
        self._restore_ranges()
        self._arrange()

    def _arrange(self) -> None:
        """Show all four plots if the height allows it, else the two that are chosen."""
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
        """Show that no run is selected."""
        self.stack.setCurrentIndex(0)

    def show_checking(self) -> None:
        """Show that a new run is being checked."""
        self.make_plots()
        self.status_label.setText(tr("Checking the recipe"))
        for label in (self.progress_label, self.best_label):
            label.setText("")
        for banner in (self.problem_banner, self.advice_banner):
            self._show_message(banner, "", "info")
        self._advised_evaluation = None
        self.bar.setValue(0)
        self.stack.setCurrentIndex(1)

    def show_reading(self) -> None:
        """Show that a long run is being read."""
        self.show_checking()
        self.status_label.setText(tr("Reading the run"))

    def show_run(
        self, history: RunHistory, live: bool, stopping: bool, pausing: bool, baseline_accuracy: float | None = None
    ) -> None:
        """Show the state of the run, compared with ``baseline_accuracy`` if known."""
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
        """Draw the runs, one plot per tick; long curves less often."""
        self.make_plots()
        self._runs = runs
        for number, name in enumerate(("loss", "accuracy", "rate", "speed")):
            self._scheduler.schedule(
                name, partial(self._draw, number, name), every=self._draw_seconds.get(name, _DRAW_SECONDS)
            )

    def _draw(self, number: int, name: str) -> None:
        from studio.ui.pages.train.plot_series import series_for

        start = time.monotonic()
        lines: Sequence[PlotSeries] = series_for(name, self._runs)
        self.plots[number].show_series(lines)
        many = sum(len(line.x) for line in lines) > _MANY_POINTS
        pause = _REDRAW_PAUSE_FACTOR * (time.monotonic() - start) if many else 0.0
        self._draw_seconds[name] = max(_DRAW_SECONDS, pause)

    def _show_message(self, banner: Banner, message: str, tone: str) -> None:
        if banner.message != message:
            banner.show_message(message, tone)
            self.messages.fit_height(self.height())
            self.setMinimumHeight(0 if self.messages.isHidden() else _MIN_HEIGHT_WITH_MESSAGES)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: fit the messages into the new height; beyond it they scroll."""
        super().resizeEvent(event)
        self.messages.fit_height(self.height())

    # tools

    def _smooth(self, value: int) -> None:
        self.smoothing_label.setText(f"{value / 100:.2f}")
        for plot in self.plots:
            self._scheduler.schedule(f"smooth {plot.title}", partial(plot.set_smoothing, value / 100))

    def _show_pointer(self, epoch: float | None) -> None:
        for plot in self.plots:
            plot.show_pointer_at(epoch)
        self.position_label.setText(tr("over epochs") if epoch is None else tr("epoch {n:.2f}", n=epoch))

    def _show_all(self) -> None:
        for plot in self.plots:
            plot.show_all()

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return smoothing, loss axis, the shown plots and their zoom."""
        return {
            "smoothing": self.smoothing.value(),
            "log_loss": self.log_loss_box.isChecked(),
            "lower_plots": self.swap_button.isChecked(),
            "ranges": [plot.zoomed_range() for plot in self.plots] or self._pending_ranges,
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the card that returned ``state``."""
        self.smoothing.setValue(state.get("smoothing", DEFAULT_SMOOTHING))
        self.log_loss_box.setChecked(state.get("log_loss", False))
        self.swap_button.setChecked(state.get("lower_plots", False))
        self._pending_ranges = list(state.get("ranges", ()))
        self._restore_ranges()
        self._arrange()

    def _restore_ranges(self) -> None:
        if self.plots:
            for plot, ranges in zip(self.plots, self._pending_ranges, strict=False):
                plot.zoom_to(ranges)
            self._pending_ranges = []
