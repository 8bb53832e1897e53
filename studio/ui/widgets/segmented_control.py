"""A row of buttons of which one is chosen."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QToolButton, QWidget

from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox


class SegmentedControl(QWidget):
    """``choices`` are words and icons (an empty name for none); ``chosen`` carries the number of the pressed one."""

    chosen = Signal(object)

    def __init__(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._group = QButtonGroup(self)
        row = HBox(gap=2)
        for number, (words, icon) in enumerate(choices):
            row.addWidget(self._add(number, words, icon))
        self.setLayout(row)
        self._group.idClicked.connect(self.chosen.emit)
        self.set_current(0)

    def _add(self, number: int, text: str, icon: str) -> QToolButton:
        made = QToolButton()
        made.setText(f" {text}" if icon else text)
        made.setAccessibleName(text)
        made.setProperty("role", "step")
        made.setCheckable(True)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        if icon:
            made.setIconSize(QSize(16, 16))
            IconTint(made, icon, "muted")
        self._group.addButton(made, number)
        return made

    def button_at(self, number: int) -> QToolButton:
        """One of the buttons."""
        found = self._group.button(number)
        assert isinstance(found, QToolButton)
        return found

    def set_current(self, number: int) -> None:
        """Mark one as chosen without telling anybody."""
        self.button_at(number).setChecked(True)
