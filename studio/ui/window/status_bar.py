"""The bar at the foot of the window: what trains, of how much, and what the engine is doing."""

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from studio.ui.i18n.language import tr
from studio.ui.style.formatting import format_bytes, format_count, format_small_percent
from studio.ui.style.theme import color
from studio.ui.widgets.components import HBox, Icon, VBox, text_label


class TrainableShareBar(QWidget):
    """A thin bar: the share of adapter and head parameters in all."""

    def __init__(self) -> None:
        super().__init__()
        self._adapter = self._head = 0.0
        self.setFixedSize(QSize(96, 6))

    def show_shares(self, adapter: float, head: float) -> None:
        """Show two shares in [0, 1]; each that is not zero is at least 2 points wide."""
        self._adapter, self._head = adapter, head
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(color("line_strong"))
        painter.setBrush(color("sunken"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 3, 3)
        left = 0.0
        for share, tint in ((self._adapter, "adapter"), (self._head, "head")):
            if share > 0:
                wide = max(3.0, share * self.width())
                painter.fillRect(QRectF(left, 0, wide, self.height()), color(tint))
                left += wide


class _Figure(QWidget):
    """A number with its name above."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.value = text_label("–", "field")
        self.setLayout(VBox(text_label(name, "caption"), self.value, gap=0))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)


class StatusBar(QFrame):
    """Always in view: trainable, total, percent, size of the adapter file, what a training ``needs``, what goes on."""

    def __init__(self, resource_widget: QWidget) -> None:
        super().__init__()
        self.setObjectName("summary")
        self.trainable, self.total = _Figure(tr("Trainable parameters")), _Figure(tr("All parameters"))
        self.share, self.file = _Figure(tr("Share")), _Figure(tr("Adapter file"))
        self.bar = TrainableShareBar()
        self._icon = Icon("info", "muted", 16)
        self._status_label = text_label("", "muted", wrap=True)
        self.setLayout(
            HBox(
                self.trainable,
                self.total,
                self.share,
                self.bar,
                self.file,
                (HBox(self._icon, (self._status_label, 1)), 1),
                resource_widget,
                gap=24,
                margins=(24, 8, 24, 8),
            )
        )
        self.show_status("")

    def show_counts(self, trainable: int, total: int, adapter_bytes: int, head: int) -> None:
        """Show the counts."""
        self.trainable.value.setText(format_count(trainable))
        self.total.value.setText(format_count(total))
        self.share.value.setText(format_small_percent(100 * trainable / total if total else 0))
        self.file.value.setText(format_bytes(adapter_bytes))
        self.bar.show_shares((trainable - head) / max(1, total), head / max(1, total))

    def clear_counts(self) -> None:
        """There is nothing to count."""
        for figure in (self.trainable, self.total, self.share, self.file):
            figure.value.setText("–")
        self.bar.show_shares(0, 0)

    def show_status(self, message: str, icon: str = "info", color_name: str = "muted") -> None:
        """Say what goes on at the right end."""
        self._icon.show_icon(icon, color_name)
        self._icon.setVisible(bool(message))
        self._status_label.setText(tr(message))

    @property
    def status(self) -> str:
        """What is said at the right end."""
        return self._status_label.text()
