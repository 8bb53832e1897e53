"""A ring around the widget with the keyboard focus, if it draws none itself."""

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSlider,
    QTabBar,
    QToolButton,
    QWidget,
)
from shiboken6 import isValid

from studio.ui.style.theme import RADIUS, color

_DRAW_OWN_RING = (QAbstractSpinBox, QComboBox, QLineEdit, QPushButton, QSlider, QTabBar, QToolButton)
"""Widgets with a ring in the style sheet."""


class FocusRing(QObject):
    """Follows the focus through all windows; focus by mouse shows no ring."""

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self.ring: RingOverlay | None = None
        application.focusChanged.connect(self._focus_changed)

    def _focus_changed(self, before: QWidget | None, now: QWidget | None) -> None:
        if self.ring is not None and isValid(self.ring):
            self.ring.hide()
            self.ring.deleteLater()
        self.ring = None
        by_mouse = QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton
        if (
            now is not None
            and not by_mouse
            and now.focusPolicy() & Qt.FocusPolicy.TabFocus
            and not _draws_own_ring(now)
        ):
            self.ring = RingOverlay(now)


def _draws_own_ring(widget: QWidget) -> bool:
    return isinstance(widget, _DRAW_OWN_RING) or widget.isWindow()


class RingOverlay(QWidget):
    """The ring, in the accent of the theme, inside the edge of ``target``: outside it may be clipped."""

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(target.rect())
        target.installEventFilter(self)
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the size of the target."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("accent"), 1.5))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS / 2, RADIUS / 2)
