"""The summary bar's right part: will it fit, how long will it take, when was that measured; and what makes it fit."""

from datetime import date, datetime
from functools import partial

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from studio.core.events import ResourceEstimate
from studio.ui.i18n.language import tr
from studio.ui.services.resource_estimator import MemorySaving, ResourceEstimator, memory_savings
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.style.formatting import format_bytes, format_duration
from studio.ui.widgets.components import HBox, Icon, VBox, button, clear_layout, separator, text_label


class ResourceButton(QWidget):
    """A line with the figures and their date, and a button that opens the panel with everything about them."""

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
        """Say how things stand."""
        needs, found = self.estimator, self.estimator.estimate
        icon, tint = _status_icon(needs)
        self._icon.show_icon(icon, tint)
        self._icon.setVisible(found is not None or needs.measuring)
        self.summary_label.setText(_summary_text(found) if found else "")
        self.time_label.setText(_time_text(needs))
        for label in (self.summary_label, self.time_label):
            label.setVisible(bool(label.text()))
        self.panel.refresh()

    def open_panel(self) -> None:
        """Open the panel over the bar."""
        self.panel.show_savings()
        self.panel.refresh()
        self.panel.place_above(self.mapToGlobal(QPoint(self.width(), 0)))
        self.panel.show()
        self.panel.measure_button.setFocus()


class ResourcePanel(QFrame):
    """Memory, time, date and device; measure and cancel; one button for each edit that makes it fit."""

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._workspace, self.estimator = workspace, workspace.resource_estimator
        self.setObjectName("needs")
        self.setProperty("role", "card")
        self.setAccessibleName(tr("Will it fit?"))
        self.banner = ErrorBanner()
        self.details_label = text_label("", wrap=True)
        self.measure_button = button(tr("Measure now"), self._measure, "refresh")
        self.savings_layout = VBox(gap=6)
        self.buttons: list[QPushButton] = []
        self._corner = QPoint()
        self.setLayout(
            VBox(
                text_label(tr("Will it fit?"), "heading"),
                text_label(
                    tr("A few real steps on this machine tell what the whole training takes."), "caption", wrap=True
                ),
                self.banner,
                self.details_label,
                HBox(self.measure_button, None),
                separator(),
                text_label(tr("To need less memory"), "field"),
                self.savings_layout,
                gap=8,
                margins=(16, 14, 16, 14),
            )
        )
        self.setFixedWidth(400)

    def refresh(self) -> None:
        """Say how things stand."""
        needs, found = self.estimator, self.estimator.estimate
        self.details_label.setText("\n".join(_detail_lines(found)) if found else tr("Not measured yet."))
        self.banner.show_message(*_verdict_text(needs))
        self.measure_button.setText(
            tr("Cancel") if needs.measuring else tr("Measure again") if found else tr("Measure now")
        )
        self._place_after_layout()

    def _place_after_layout(self) -> None:
        """Once Qt has shown what was added: until then it takes no room."""
        if self.isVisible():
            QTimer.singleShot(0, lambda: self.place_above(self._corner))

    def place_above(self, corner: QPoint) -> None:
        """Put the panel above a point of the screen, its right edge there, as high as its content needs."""
        self._corner = corner
        self.layout().activate()
        self.resize(self.width(), self.layout().totalHeightForWidth(self.width()))
        self.move(corner - QPoint(self.width(), self.height() + 14))

    def show_savings(self) -> None:
        """Offer what makes the recipe as it is need less."""
        clear_layout(self.savings_layout)
        self.buttons = []
        for saving in memory_savings(self._workspace.recipe, self._workspace.engine):
            made = button(saving.label, partial(self._apply, saving))
            made.setToolTip(saving.tool_tip)
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
    return tr("{memory} memory · {time} an epoch", memory=memory, time=seconds)


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
        tr("Memory: {memory} of {free} free", memory=format_bytes(estimate.peak_memory_bytes), free=free),
        tr("Time: {epoch} an epoch, {step} s a step of {n} images", epoch=format_duration(estimate.seconds_per_epoch),
           step=f"{estimate.seconds_per_step:.3g}", n=estimate.batch_size),
        tr("Measured {when} on {device}", when=_date_text(estimate), device=estimate.device),
    ]  # fmt: skip


def _verdict_text(estimator: ResourceEstimator) -> tuple[str, str]:
    """What the notice says, and its tone."""
    if estimator.measuring:
        return tr("Measuring a few steps…"), "info"
    if estimator.problem:
        return tr(estimator.problem), "bad"
    if estimator.estimate is None:
        return "", "info"
    if estimator.stale:
        return tr("The recipe has changed since it was measured."), "warn"
    if estimator.estimate.fits_in_memory:
        return tr("It fits."), "good"
    return tr("It does not fit into the memory that is free."), "bad"
