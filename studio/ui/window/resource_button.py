"""The right part of the status bar: memory and time of a training, measured, and edits that save memory."""

from datetime import date, datetime
from functools import partial

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from studio.core.events import ResourceEstimate
from studio.ui.i18n.language import localized, tr
from studio.ui.services.resource_estimator import MemorySaving, ResourceEstimator, memory_savings
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.style.formatting import format_bytes, format_duration
from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox, Icon, VBox, button, clear_layout, separator, text_label


class ResourceButton(QWidget):
    """The estimate and its date in a line, and a button that opens the panel with the details."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.estimator = workspace.resource_estimator
        self.panel = ResourcePanel(workspace, self)
        self._icon = Icon("info", "muted", 16)
        self.summary_label, self.time_label = text_label("", "field"), text_label("", "caption")
        self.open_button = button(tr("Will it fit?"), self.open_panel, "chevron-up", "quiet")
        self.setLayout(HBox(self._icon, VBox(self.summary_label, self.time_label, gap=0), self.open_button, gap=10))
        self.estimator.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the estimate as it is now."""
        estimator, estimate = self.estimator, self.estimator.estimate
        icon, tint = _status_icon(estimator)
        self._icon.show_icon(icon, tint)
        self._icon.setVisible(estimate is not None or estimator.measuring)
        self.summary_label.setText(_summary_text(estimate) if estimate else "")
        self.time_label.setText(_time_text(estimator))
        for label in (self.summary_label, self.time_label):
            label.setVisible(bool(label.text()))
        self.panel.refresh()

    def open_panel(self) -> None:
        """Open the panel above the bar."""
        self.panel.show_savings()
        self.panel.refresh()
        self.panel.place_above(self.mapToGlobal(QPoint(self.width(), 0)))
        self.panel.show()
        self.panel.measure_button.setFocus()


class ResourcePanel(QFrame):
    """Memory, time, date and device of the estimate; measure and cancel; a button for each edit that saves memory."""

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._workspace, self.estimator = workspace, workspace.resource_estimator
        self.setObjectName("needs")
        self.setProperty("role", "card")
        self.setAccessibleName(tr("Will it fit?"))
        self.banner = ErrorBanner()
        self.details_label = text_label("", wrap=True)
        self.measure_button = button(tr("Measure now"), self._measure, "refresh")
        (self._measure_icon,) = self.measure_button.findChildren(IconTint)
        self.savings_layout = VBox(gap=6)
        self.buttons: list[QPushButton] = []
        self._corner = QPoint()
        self.setLayout(
            VBox(
                text_label(tr("Will it fit?"), "heading"),
                text_label(tr("Trains a few steps on this machine to estimate memory and time."), "caption", wrap=True),
                self.banner,
                self.details_label,
                HBox(self.measure_button, None),
                separator(),
                text_label(tr("Save memory"), "field"),
                self.savings_layout,
                gap=8,
                margins=(16, 14, 16, 14),
            )
        )
        self.setFixedWidth(400)

    def refresh(self) -> None:
        """Show the estimate as it is now."""
        estimator, estimate = self.estimator, self.estimator.estimate
        self.details_label.setText("\n".join(_detail_lines(estimate)) if estimate else tr("Not measured yet."))
        self.banner.show_message(*_verdict_text(estimator))
        self.measure_button.setText(
            tr("Cancel") if estimator.measuring else tr("Measure again") if estimate else tr("Measure now")
        )
        self._measure_icon.show("stop" if estimator.measuring else "refresh")
        self._place_after_layout()

    def _place_after_layout(self) -> None:
        """Place the panel again once Qt has laid out the buttons that were added."""
        if self.isVisible():
            QTimer.singleShot(0, lambda: self.place_above(self._corner))

    def place_above(self, corner: QPoint) -> None:
        """Place the panel above ``corner`` of the screen, aligned to its right edge, as high as its content needs."""
        self._corner = corner
        self.layout().activate()
        self.resize(self.width(), self.layout().totalHeightForWidth(self.width()))
        self.move(corner - QPoint(self.width(), self.height() + 14))

    def show_savings(self) -> None:
        """Offer the edits that save memory for the recipe as it is now."""
        clear_layout(self.savings_layout)
        self.buttons = []
        for saving in memory_savings(self._workspace.recipe, self._workspace.engine):
            made = button(localized(saving.label), partial(self._apply, saving))
            made.setToolTip(localized(saving.tool_tip))
            made.setEnabled(saving.recipe is not None)
            self.buttons.append(made)
            self.savings_layout.addWidget(made)
        self._place_after_layout()

    def _apply(self, saving: MemorySaving) -> None:
        if saving.recipe is not None:
            self._workspace.document.edit(saving.label, saving.recipe)
            self.show_savings()

    def _measure(self) -> None:
        if self.estimator.measuring:
            self.estimator.cancel()
        else:
            self.estimator.measure()


def _status_icon(estimator: ResourceEstimator) -> tuple[str, str]:
    if estimator.measuring or estimator.stale or estimator.estimate is None:
        return "refresh", "muted"
    return ("check", "good") if estimator.estimate.fits_in_memory else ("warning", "bad")


def _summary_text(estimate: ResourceEstimate) -> str:
    memory, seconds = format_bytes(estimate.peak_memory_bytes), format_duration(estimate.seconds_per_epoch)
    return tr("{memory} memory · {time} per epoch", memory=memory, time=seconds)


def _time_text(estimator: ResourceEstimator) -> str:
    if estimator.measuring:
        return tr("Measuring a few steps…")
    if estimator.problem:
        return tr("The measurement failed")
    if estimator.estimate is None:
        return ""
    when = _date_text(estimator.estimate)
    return tr("for an earlier recipe, {when}", when=when) if estimator.stale else tr("measured {when}", when=when)


def _date_text(estimate: ResourceEstimate) -> str:
    moment = datetime.fromtimestamp(estimate.time).astimezone()
    if moment.date() == date.today():
        return tr("today {time}", time=f"{moment:%H:%M}")
    return f"{moment:%Y-%m-%d %H:%M}"


def _detail_lines(estimate: ResourceEstimate) -> list[str]:
    free = format_bytes(estimate.available_memory_bytes)
    return [
        tr("Memory: {memory} of {free} available", memory=format_bytes(estimate.peak_memory_bytes), free=free),
        tr("{time} per epoch, {step} s per step of {n} images", time=format_duration(estimate.seconds_per_epoch),
           step=f"{estimate.seconds_per_step:.3g}", n=estimate.batch_size),
        tr("Measured {when} on {device}", when=_date_text(estimate), device=estimate.device),
    ]  # fmt: skip


def _verdict_text(estimator: ResourceEstimator) -> tuple[str, str]:
    """Return the text of the banner, and its tone."""
    if estimator.measuring:
        return tr("Measuring a few steps…"), "info"
    if estimator.problem:
        return estimator.problem, "bad"
    if estimator.estimate is None:
        return "", "info"
    if estimator.stale:
        return tr("The recipe has changed since the measurement."), "warn"
    if estimator.estimate.fits_in_memory:
        return tr("It fits in the available memory."), "good"
    return tr("It does not fit in the available memory."), "bad"
