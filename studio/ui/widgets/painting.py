"""Shared drawing: fonts and badges."""

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QApplication

from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color

_BADGE_HEIGHT = 20


def small_font(font: QFont | None = None) -> QFont:
    """Return ``font``, by default the application's, in the size of captions."""
    small = QFont(font or QApplication.font())
    small.setPixelSize(12)
    return small


def strong_font(font: QFont | None = None) -> QFont:
    """Return ``font``, by default the application's, in the usual size and semibold."""
    strong = QFont(font or QApplication.font())
    strong.setPixelSize(13)
    strong.setWeight(QFont.Weight.DemiBold)
    return strong


def badge_width(text: str, icon: str = "adapter") -> int:
    """Return the width of a badge with ``text``, in pixels."""
    return QFontMetrics(_badge_font()).horizontalAdvance(text) + (32 if icon else 16)


def draw_badge(
    painter: QPainter,
    area: QRect,
    text: str,
    color_name: str,
    background: str,
    icon: str = "adapter",
    outlined: bool = False,
) -> int:
    """Draw a badge at the left of ``area``, elided to its width.

    Return the badge's width.
    """
    width = min(badge_width(text, icon), area.width())
    box = QRect(area.left(), area.center().y() - _BADGE_HEIGHT // 2 + 1, width, _BADGE_HEIGHT)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(color(background))
    painter.setPen(QPen(color(color_name), 1) if outlined else Qt.PenStyle.NoPen)
    painter.drawRoundedRect(box, 6, 6)
    left = box.left() + 8
    if icon:
        painter.drawPixmap(box.left() + 6, box.center().y() - 6, pixmap(icon, color_name, 13))
        left = box.left() + 24
    painter.setFont(_badge_font())
    painter.setPen(color(color_name))
    room = box.right() - left - 6
    elided = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room)
    painter.drawText(QRect(left, box.top(), room + 4, _BADGE_HEIGHT), int(Qt.AlignmentFlag.AlignVCenter), elided)
    painter.restore()
    return width


def drag_pixmap(text: str, device_pixel_ratio: float, icon: str = "adapter", tone: str = "adapter") -> QPixmap:
    """Return the badge that follows the pointer during a drag."""
    image = QPixmap(round(240 * device_pixel_ratio), round(32 * device_pixel_ratio))
    image.setDevicePixelRatio(device_pixel_ratio)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    width = draw_badge(painter, QRect(1, 4, 236, 24), text, tone, f"{tone}_soft", icon, outlined=True)
    painter.end()
    return image.copy(0, 0, round((width + 4) * device_pixel_ratio), image.height())


def _badge_font() -> QFont:
    font = small_font()
    font.setWeight(QFont.Weight.Medium)
    return font
