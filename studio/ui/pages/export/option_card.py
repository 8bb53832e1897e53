"""Card of one export format."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame

from studio.ui.i18n.language import localized
from studio.ui.pages.export.export_options import ExportOption
from studio.ui.widgets.components import HBox, Icon, VBox, repolish, text_label


class OptionCard(QFrame):
    """Export format to choose; ``chosen`` carries its name."""

    chosen = Signal(object)

    def __init__(self, option: ExportOption) -> None:
        super().__init__()
        self.option = option
        self.setObjectName("choice")
        self.setProperty("refused", bool(option.unsupported_reason))
        label, description = localized(option.label), localized(option.unsupported_reason or option.summary)
        self.setAccessibleName(label)
        self.setAccessibleDescription(description)
        tint = "faint" if option.unsupported_reason else "accent"
        texts = VBox(
            text_label(label[:1].upper() + label[1:], "field"), text_label(description, "caption", wrap=True), gap=2
        )
        icon = Icon("error" if option.unsupported_reason else "export", tint, 20)
        row = HBox(icon, (texts, 1), gap=12, margins=(14, 10, 14, 10))
        row.setAlignment(icon, Qt.AlignmentFlag.AlignTop)
        self.setLayout(row)
        if not option.unsupported_reason:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose this format."""
        self._emit_chosen()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: choose with Enter or space."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._emit_chosen()
        else:
            super().keyPressEvent(event)

    def _emit_chosen(self) -> None:
        if not self.option.unsupported_reason:
            self.chosen.emit(self.option.name)

    def set_selected(self, selected: bool) -> None:
        """Mark it as the selected format."""
        self.setProperty("chosen", selected)
        repolish(self)
