"""The bar at the bottom of the window: parameter counts, the status, and the resources of a training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from studio.ui.i18n.language import localized, tr
from studio.ui.style.formatting import format_bytes, format_count, format_small_percent
from studio.ui.style.theme import color
from studio.ui.widgets.components import HBox, Icon, VBox, text_label

if TYPE_CHECKING:
    from studio.peft.param_counts import ParameterCounts


@dataclass(frozen=True, slots=True)
class Status:
    """A sentence at the right end of the status bar, with its icon; empty for none."""

    message: str = ""
    icon: str = "info"
    color: str = "muted"


class TrainableShareBar(QWidget):
    """A thin bar: the share of adapter and head parameters in all parameters."""

    def __init__(self) -> None:
        super().__init__()
        self._adapter = self._head = 0.0
        self.setFixedSize(QSize(96, 6))

    def show_shares(self, adapter: float, head: float) -> None:
        """Show two shares in [0, 1]; each above zero is at least 3 points wide."""
        self._adapter, self._head = adapter, head
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the shares."""
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
    """A number below its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.value = text_label("–", "field")
        self.setLayout(VBox(text_label(name, "caption"), self.value, gap=0))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)


class StatusBar(QFrame):
    """Trainable and total parameters, their share, size of the adapter file, status, and ``resource_widget``."""

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
        self.current_status = Status()
        self.show_status(Status())

    def show_counts(self, counts: "ParameterCounts") -> None:
        """Show the counts."""
        trainable, total, head = counts.trainable_parameters, counts.total_parameters, counts.head_parameters
        self.trainable.value.setText(format_count(trainable))
        self.total.value.setText(format_count(total))
        self.share.value.setText(format_small_percent(100 * trainable / total if total else 0))
        self.file.value.setText(format_bytes(counts.adapter_bytes))
        self.bar.show_shares((trainable - head) / max(1, total), head / max(1, total))

    def clear_counts(self) -> None:
        """Show that there are no counts."""
        for figure in (self.trainable, self.total, self.share, self.file):
            figure.value.setText("–")
        self.bar.show_shares(0, 0)

    def show_status(self, status: Status) -> None:
        """Show ``status`` at the right end."""
        self.current_status = status
        self._icon.show_icon(status.icon, status.color)
        self._icon.setVisible(bool(status.message))
        self._status_label.setText(localized(status.message))

    @property
    def status(self) -> str:
        """The sentence shown at the right end."""
        return self._status_label.text()
