"""An image as a backbone sees it, with a glow where it looked."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.i18n.language import tr
from studio.ui.style.theme import color
from studio.ui.widgets.painting import small_font

if TYPE_CHECKING:
    import numpy as np

    from studio.app.inference_session import SaliencyMap

_GLOW_ALPHA, _SHADE_ALPHA = 190, 120
"""Opacity of 255 where the network looked most, and of the shade where it did not look."""


class SaliencyView(QWidget):
    """Shows an image as large as fits, and the heat over it; words while there is none."""

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
        """Show ``image`` with nothing over it; ``placeholder`` where it is null."""
        self._image, self._heat, self.saliency = image, QImage(), None
        self._placeholder = placeholder or self._placeholder
        self.update()

    def show_saliency(self, saliency: "SaliencyMap | None") -> None:
        """Put the heat over the image as the backbone sees it; None takes it away."""
        self.saliency = saliency
        if saliency is None:
            self._heat = QImage()
        else:
            import numpy as np  # here, as the window comes up without it

            height, width = saliency.pixels.shape[:2]
            data = np.ascontiguousarray(saliency.pixels)
            self._image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
            self._heat = _heat_image(saliency.heatmap)
        self.update()

    @property
    def has_overlay(self) -> bool:
        """Whether something is drawn over the image."""
        return not self._heat.isNull()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._image.isNull():
            painter.setFont(small_font(self.font()))
            painter.setPen(color("muted"))
            flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
            painter.drawText(self.rect().adjusted(8, 8, -8, -8), flags, tr(self._placeholder))
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
    """Heat (rows, columns) in [0, 1] as colours: a shade where it is low, the theme's glow where it is high."""
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
