"""The steps from left to right, at the head of the window."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QToolButton, QWidget

from studio.ui.i18n.language import tr
from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox, Icon


class StepBar(QWidget):
    """A button for each step; ``chosen`` carries its number, counted from 0."""

    chosen = Signal(object)

    def __init__(self, steps: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self._buttons: list[QToolButton] = []
        self._icons = [icon for _, icon in steps]
        self._tints: list[IconTint] = []
        row = HBox(gap=2)
        for number, (words, icon) in enumerate(steps):
            if number:
                row.addWidget(Icon("chevron-right", "faint", 12))
            row.addWidget(self._add(number, words, icon))
        self.setLayout(row)

    def _add(self, number: int, text: str, icon: str) -> QToolButton:
        button = QToolButton()
        button.setText(f" {text}")
        button.setToolTip(tr("{words} (Ctrl+{number})", words=text, number=number + 1))
        button.setAccessibleName(tr("Step {number}: {words}", number=number + 1, words=text))
        button.setProperty("role", "step")
        button.setCheckable(True)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIconSize(QSize(16, 16))
        self._tints.append(IconTint(button, icon, "muted"))
        button.clicked.connect(lambda checked: self.chosen.emit(number))
        self._buttons.append(button)
        return button

    def show_step(self, number: int) -> None:
        """Mark the step that is in view; a page beside the steps leaves none of them marked."""
        for other, (button, tint) in enumerate(zip(self._buttons, self._tints, strict=True)):
            button.setChecked(other == number)
            tint.show(tint.name, "accent" if other == number else tint.default_color)

    def show_done(self, number: int, done: bool) -> None:
        """Mark a step as done with a tick."""
        tint = self._tints[number]
        tint.default_color = "good" if done else "muted"
        checked = self._buttons[number].isChecked()
        tint.show("check" if done else self._icons[number], "accent" if checked else tint.default_color)
