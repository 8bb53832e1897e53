"""Icons: shipped SVG drawings, tinted with a colour of the theme when asked for."""

from functools import lru_cache

from PySide6.QtCore import QByteArray, QObject, QRectF, Qt
from PySide6.QtGui import QAction, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QPushButton

from studio.core.paths import resource
from studio.ui.style.theme import theme

_SIZES = (16, 20, 32, 40)
BESIDE = 3
"""Points left free between an icon and the words of its push button; Qt's own four are too few to read easily."""


def pixmap(name: str, colour: str = "text", size: int = 16, ratio: float = 2.0, beside: int = 0) -> QPixmap:
    """The icon ``name`` in ``colour``: ``size`` points wide and ``beside`` free ones, of ``ratio`` pixels each."""
    return _drawn(name, getattr(theme().tokens, colour), size, ratio, beside)


@lru_cache(maxsize=512)
def _drawn(name: str, colour: str, size: int, ratio: float, beside: int) -> QPixmap:
    drawing = resource("icons", f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    image = QPixmap(round((size + beside) * ratio), round(size * ratio))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(drawing.encode())).render(painter, QRectF(0, 0, image.height(), image.height()))
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def icon(name: str, colour: str = "text", beside: int = 0) -> QIcon:
    """The icon ``name``, faint where its button is disabled, with ``beside`` points left free at its right."""
    made = QIcon()
    for size in _SIZES:
        made.addPixmap(pixmap(name, colour, size, beside=beside))
        made.addPixmap(pixmap(name, "faint", size, beside=beside), QIcon.Mode.Disabled)
    return made


class Tint(QObject):
    """Keeps the icon of one button or action in the theme's colours."""

    def __init__(self, target: QAbstractButton | QAction, name: str, colour: str = "text") -> None:
        super().__init__(target)
        self.name, self.resting = name, colour
        self._target, self._colour = target, colour
        theme().changed.connect(self._set)
        self._set()

    def show(self, name: str, colour: str | None = None) -> None:
        """Change to the icon ``name``."""
        self.name, self._colour = name, colour or self._colour
        self._set()

    def _set(self) -> None:
        beside = BESIDE if isinstance(self._target, QPushButton) and self._target.text() else 0
        self._target.setIcon(icon(self.name, self._colour, beside))
