"""The summary bar's right part: will it fit, how long will it take, when was that measured; and what makes it fit."""

from datetime import date, datetime
from functools import partial

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from studio.core.events import ResourceEstimate
from studio.ui.i18n.language import tr
from studio.ui.services.resource_estimator import Needs, Saving, savings
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import duration, size
from studio.ui.widgets.components import Column, Notice, Picture, Row, button, clear, line, text


class NeedsButton(QWidget):
    """A line with the figures and their date, and a button that opens the panel with everything about them."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.needs = workspace.needs
        self.panel = NeedsPanel(workspace, self)
        self._icon = Picture("info", "muted", 16)
        self.words, self.when = text("", "field"), text("", "caption")
        self.open_button = button(tr("Will it fit?"), self.open, "chevron-up", "quiet")
        self.setLayout(Row(self._icon, Column(self.words, self.when, gap=0), self.open_button, gap=10))
        self.needs.changed.connect(self.say_again)
        self.say_again()

    def say_again(self) -> None:
        """Say how things stand."""
        needs, found = self.needs, self.needs.found
        icon, tint = _mark(needs)
        self._icon.show_icon(icon, tint)
        self._icon.setVisible(found is not None or needs.measuring)
        self.words.setText(_figures(found) if found else "")
        self.when.setText(_when(needs))
        for label in (self.words, self.when):
            label.setVisible(bool(label.text()))
        self.panel.say_again()

    def open(self) -> None:
        """Open the panel over the bar."""
        self.panel.show_savings()
        self.panel.say_again()
        self.panel.place(self.mapToGlobal(QPoint(self.width(), 0)))
        self.panel.show()
        self.panel.measure.setFocus()


class NeedsPanel(QFrame):
    """Memory, time, date and device; measure and cancel; one button for each edit that makes it fit."""

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._workspace, self.needs = workspace, workspace.needs
        self.setObjectName("needs")
        self.setProperty("role", "card")
        self.setAccessibleName(tr("Will it fit?"))
        self.notice = Notice()
        self.facts = text("", wrap=True)
        self.measure = button(tr("Measure now"), self._measure, "refresh")
        self.fits = Column(gap=6)
        self.buttons: list[QPushButton] = []
        self._corner = QPoint()
        self.setLayout(
            Column(
                text(tr("Will it fit?"), "heading"),
                text(tr("A few real steps on this machine tell what the whole training takes."), "caption", wrap=True),
                self.notice,
                self.facts,
                Row(self.measure, None),
                line(),
                text(tr("To need less memory"), "field"),
                self.fits,
                gap=8,
                margins=(16, 14, 16, 14),
            )
        )
        self.setFixedWidth(400)

    def say_again(self) -> None:
        """Say how things stand."""
        needs, found = self.needs, self.needs.found
        self.facts.setText("\n".join(_facts(found)) if found else tr("Not measured yet."))
        self.notice.say(*_verdict(needs))
        self.measure.setText(tr("Cancel") if needs.measuring else tr("Measure again") if found else tr("Measure now"))
        self._place_later()

    def _place_later(self) -> None:
        """Once Qt has shown what was added: until then it takes no room."""
        if self.isVisible():
            QTimer.singleShot(0, lambda: self.place(self._corner))

    def place(self, corner: QPoint) -> None:
        """Put the panel above a point of the screen, its right edge there, as high as its content needs."""
        self._corner = corner
        self.layout().activate()
        self.resize(self.width(), self.layout().totalHeightForWidth(self.width()))
        self.move(corner - QPoint(self.width(), self.height() + 14))

    def show_savings(self) -> None:
        """Offer what makes the recipe as it is need less."""
        clear(self.fits)
        self.buttons = []
        for saving in savings(self._workspace.recipe, self._workspace.engine):
            made = button(saving.words, partial(self._apply, saving))
            made.setToolTip(saving.tip)
            made.setEnabled(saving.recipe is not None)
            self.buttons.append(made)
            self.fits.addWidget(made)
        self._place_later()

    def _apply(self, saving: Saving) -> None:
        if saving.recipe is not None:
            self._workspace.document.edit(saving.words, saving.recipe)
            self.show_savings()

    def _measure(self) -> None:
        if self.needs.measuring:
            self.needs.cancel()
        else:
            self.needs.measure()


def _mark(needs: Needs) -> tuple[str, str]:
    if needs.measuring or needs.stale or needs.found is None:
        return "refresh", "muted"
    return ("check", "good") if needs.found.fits_in_memory else ("warning", "bad")


def _figures(found: ResourceEstimate) -> str:
    memory, seconds = size(found.peak_memory_bytes), duration(found.seconds_per_epoch)
    return tr("{memory} memory · {time} an epoch", memory=memory, time=seconds)


def _when(needs: Needs) -> str:
    if needs.measuring:
        return tr("Measuring a few steps…")
    if needs.problem:
        return tr("The measurement failed")
    if needs.found is None:
        return ""
    when = _day(needs.found)
    return tr("for an earlier recipe, {when}", when=when) if needs.stale else tr("measured {when}", when=when)


def _day(found: ResourceEstimate) -> str:
    moment = datetime.fromtimestamp(found.time).astimezone()
    if moment.date() == date.today():
        return tr("today {time}", time=f"{moment:%H:%M}")
    return f"{moment:%Y-%m-%d %H:%M}"


def _facts(found: ResourceEstimate) -> list[str]:
    free = size(found.available_memory_bytes)
    return [
        tr("Memory: {memory} of {free} free", memory=size(found.peak_memory_bytes), free=free),
        tr("Time: {epoch} an epoch, {step} s a step of {n} images", epoch=duration(found.seconds_per_epoch),
           step=f"{found.seconds_per_step:.3g}", n=found.batch_size),
        tr("Measured {when} on {device}", when=_day(found), device=found.device),
    ]  # fmt: skip


def _verdict(needs: Needs) -> tuple[str, str]:
    """What the notice says, and its tone."""
    if needs.measuring:
        return tr("Measuring a few steps…"), "info"
    if needs.problem:
        return tr(needs.problem), "bad"
    if needs.found is None:
        return "", "info"
    if needs.stale:
        return tr("The recipe has changed since it was measured."), "warn"
    if needs.found.fits_in_memory:
        return tr("It fits."), "good"
    return tr("It does not fit into the memory that is free."), "bad"
