"""What an adapter says of an image, and its parts as switches and sliders."""

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QSlider, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.results.probability_bars import ShareBars
from studio.ui.style.formatting import count, percent
from studio.ui.widgets.components import Column, IconButton, Row, restyle, text
from studio.ui.widgets.fields import guard_wheel

if TYPE_CHECKING:
    from studio.app.inference_session import Reply
    from studio.app.multi_task import Dial

WHOLE = 100
"""Steps of a strength slider for a strength of 1."""


class AnswerCard(QFrame):
    """What one adapter says; pressing it makes it the active one."""

    pressed = Signal(object)
    leave_wanted = Signal(object)

    def __init__(self, name: str, removable: bool) -> None:
        super().__init__()
        self.name = name
        self.setObjectName("choice")
        self.setFixedWidth(258)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(tr("Adapter {name}", name=name))
        title = text(_short(name), "field")
        title.setToolTip(name)
        self.fuse = QCheckBox()
        self.fuse.setToolTip(tr("Take part in a fusion"))
        self.fuse.setAccessibleName(tr("Fuse {name}", name=name))
        leave = IconButton(tr("Take off"), "close", lambda: self.leave_wanted.emit(name))
        leave.setVisible(removable)
        self.best = text("", "heading")
        self.odds = ShareBars()
        self.timing = text("", "caption", wrap=True)
        head = Row(self.fuse, (title, 1), leave)
        self.setLayout(Column(head, self.best, self.odds, self.timing, gap=6, margins=(14, 8, 10, 10)))

    def show_reply(self, reply: "Reply | None") -> None:
        """Show an answer; None while there is none."""
        self.odds.show_rows(reply.answer.best(5) if reply else [])
        if reply is None:
            self.best.setText("")
            self.timing.setText("")
            return
        label, share = reply.answer.best(1)[0]
        self.best.setText(tr("{label}, {share}", label=label, share=percent(share)))
        switch, answer = f"{reply.switch_ms:.2g}", f"{reply.answer_ms:.0f}"
        self.timing.setText(tr("switched in {switch} ms, answered in {answer} ms", switch=switch, answer=answer))

    def show_active(self, active: bool) -> None:
        """Mark it as the one whose parts and map are shown."""
        self.setProperty("chosen", active)
        restyle(self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: make it active."""
        self.pressed.emit(self.name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter and space make it active."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit(self.name)
        else:
            super().keyPressEvent(event)


class DialRow(QWidget):
    """A switch and a strength for one attachment; ``turned`` carries its new state."""

    turned = Signal(object)

    def __init__(self, dial: "Dial") -> None:
        super().__init__()
        self.dial = dial
        self.switch = QCheckBox(dial.name)
        self.switch.setChecked(dial.on)
        self.switch.setAccessibleName(tr("{name} takes part", name=dial.name))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 2 * WHOLE)
        self.slider.setValue(round(dial.strength * WHOLE))
        self.slider.setPageStep(25)
        self.slider.setMinimumWidth(110)
        self.slider.setAccessibleName(tr("Strength of {name}", name=dial.name))
        self.slider.setEnabled(not dial.refusal)
        self.slider.setToolTip(tr(dial.refusal) if dial.refusal else tr("0 % is without it, 100 % as it was trained"))
        guard_wheel(self.slider)
        self.value = text("", "caption")
        self.value.setFixedWidth(44)
        what = text(tr("{label}, {n} parameters", label=tr(dial.label), n=count(dial.parameters)), "caption")
        self.setLayout(Row((self.switch, 2), (what, 3), (self.slider, 3), self.value, gap=12))
        self.switch.toggled.connect(lambda on: self._turn())
        self.slider.valueChanged.connect(lambda value: self._turn())
        self._say()

    def _turn(self) -> None:
        self.dial = replace(self.dial, on=self.switch.isChecked(), strength=self.slider.value() / WHOLE)
        self._say()
        self.turned.emit(self.dial)

    def _say(self) -> None:
        self.value.setText(f"{self.slider.value()} %" if self.dial.on else tr("off"))


def _short(name: str) -> str:
    """A run's long name by its end, which tells it from others."""
    return name if len(name) <= 22 else f"…{name[-21:]}"
