"""Icons: shipped SVG drawings, optionally tinted with a color of the theme."""

from functools import lru_cache

from PySide6.QtCore import QByteArray, QObject, QRectF, Qt
from PySide6.QtGui import QAction, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QPushButton

from studio.core.paths import resource
from studio.ui.style.theme import theme

_SIZES = (16, 20, 32, 40)
TEXT_GAP = 3
"""Points left free between an icon and the words of its push button; Qt's own four are too few to read easily."""


def pixmap(name: str, color: str = "text", size: int = 16, ratio: float = 2.0, right_padding: int = 0) -> QPixmap:
    """Return the icon ``name`` in ``color``: ``size`` points plus ``right_padding``, of ``ratio`` pixels each."""
    return _render(name, getattr(theme().tokens, color), size, ratio, right_padding)


@lru_cache(maxsize=512)
def _render(name: str, color: str, size: int, ratio: float, right_padding: int) -> QPixmap:
    drawing = resource("icons", f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", color)
    image = QPixmap(round((size + right_padding) * ratio), round(size * ratio))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(drawing.encode())).render(painter, QRectF(0, 0, image.height(), image.height()))
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def icon(name: str, color: str = "text", right_padding: int = 0) -> QIcon:
    """The icon ``name``, faint where its button is disabled, with ``right_padding`` points left free at its right."""
    made = QIcon()
    for size in _SIZES:
        made.addPixmap(pixmap(name, color, size, right_padding=right_padding))
        made.addPixmap(pixmap(name, "faint", size, right_padding=right_padding), QIcon.Mode.Disabled)
    return made


class IconTint(QObject):
    """The icon of one button or action, in a color of the theme."""

    def __init__(self, target: QAbstractButton | QAction, name: str, color: str = "text") -> None:
        super().__init__(target)
        self.name, self.default_color = name, color
        self._target, self._color = target, color
        self._update_icon()

    def show(self, name: str, color: str | None = None) -> None:
        """Change to the icon ``name``."""
        self.name, self._color = name, color or self._color
        self._update_icon()

    def _update_icon(self) -> None:
        beside = TEXT_GAP if isinstance(self._target, QPushButton) and self._target.text() else 0
        self._target.setIcon(icon(self.name, self._color, beside))
