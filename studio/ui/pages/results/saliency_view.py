"""Image as the backbone receives it, with a saliency map over it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.style.theme import color
from studio.ui.widgets.painting import small_font

if TYPE_CHECKING:
    import numpy as np

    from studio.app.inference_session import SaliencyMap

_GLOW_ALPHA, _SHADE_ALPHA = 190, 120
"""Opacity, of 255, of the glow at the largest saliency and of the shade at zero saliency."""


class SaliencyView(QWidget):
    """Image scaled to fit with its saliency map; a placeholder text without an image."""

    def __init__(self, name: str, placeholder: str = "", side: int = 132) -> None:
        super().__init__()
        self._image, self._heat = QImage(), QImage()
        self._placeholder = placeholder
        self.saliency: SaliencyMap | None = None
        self.setMinimumSize(side, side)
        self.setAccessibleName(name)

    def sizeHint(self) -> QSize:
        """Qt: square."""
        return QSize(200, 200)

    def show_image(self, image: QImage, placeholder: str = "") -> None:
        """Show ``image`` without a map, or ``placeholder`` if the image is null."""
        self._image, self._heat, self.saliency = image, QImage(), None
        self._placeholder = placeholder or self._placeholder
        self.update()

    def show_saliency(self, saliency: "SaliencyMap | None") -> None:
        """Show the image of ``saliency`` with its map; None removes the map."""
        self.saliency = saliency
        if saliency is None:
            self._heat = QImage()
        else:
            import numpy as np  # the window starts without it

            height, width = saliency.pixels.shape[:2]
            data = np.ascontiguousarray(saliency.pixels)
            self._image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
            self._heat = _heat_image(saliency.heatmap)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._image.isNull():
            painter.setFont(small_font(self.font()))
            painter.setPen(color("muted"))
            flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
            painter.drawText(self.rect().adjusted(8, 8, -8, -8), flags, self._placeholder)
            return
        box = self._image_rect()
        painter.drawImage(box, self._image)
        if not self._heat.isNull():
            painter.drawImage(box, self._heat)

    def _image_rect(self) -> QRect:
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRect(
            (self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height()
        )


def _heat_image(heat: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> QImage:
    """Return ``heat`` (rows, columns) in [0, 1] as shade (low) and glow (high)."""
    import numpy as np

    tint = color("adapter")
    ink = np.array([tint.red(), tint.green(), tint.blue()], np.float32)
    glow = np.clip(2 * heat - 1, 0, 1)[..., None]
    shade = np.clip(1 - 2 * heat, 0, 1)[..., None]
    pixels = np.concatenate([ink * (glow > 0), _GLOW_ALPHA * glow + _SHADE_ALPHA * shade], axis=-1)
    data = np.ascontiguousarray(np.round(pixels).astype(np.uint8))
    rows, columns = heat.shape
    small = QImage(data.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
    return small.scaled(
        columns * 16, rows * 16, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
