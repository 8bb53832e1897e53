"""A row of buttons of which one is checked."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QToolButton, QWidget

from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox


class SegmentedControl(QWidget):
    """One of several ``choices``, each a text and an icon name (empty for none).

    ``chosen`` carries its number.
    """

    chosen = Signal(object)

    def __init__(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._group = QButtonGroup(self)
        row = HBox(gap=2)
        for number, (text, icon) in enumerate(choices):
            row.addWidget(self._add(number, text, icon))
        self.setLayout(row)
        self._group.idClicked.connect(self.chosen.emit)
        self.set_current(0)

    def _add(self, number: int, text: str, icon: str) -> QToolButton:
        button = QToolButton()
        button.setText(f" {text}" if icon else text)
        button.setAccessibleName(text)
        button.setProperty("role", "step")
        button.setCheckable(True)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        if icon:
            button.setIconSize(QSize(16, 16))
            IconTint(button, icon, "muted")
        self._group.addButton(button, number)
        return button

    def button_at(self, number: int) -> QToolButton:
        """Return the button of a choice."""
        button = self._group.button(number)
        assert isinstance(button, QToolButton)
        return button

    @property
    def current(self) -> int:
        """The number of the current choice."""
        return self._group.checkedId()

    def set_current(self, number: int) -> None:
        """Make a choice current without emitting a signal."""
        self.button_at(number).setChecked(True)
