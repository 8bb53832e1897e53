"""The steps from left to right, at the top of the window."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QToolButton, QWidget

from studio.ui.i18n.language import localized, tr
from studio.ui.pages.registry import PageSpec
from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox, Icon


class StepBar(QWidget):
    """A button for each step; ``chosen`` carries the name of its page."""

    chosen = Signal(object)

    def __init__(self, specs: tuple[PageSpec, ...]) -> None:
        super().__init__()
        self._specs = {spec.name: spec for spec in specs}
        self._buttons: dict[str, QToolButton] = {}
        self._tints: dict[str, IconTint] = {}
        row = HBox(gap=2)
        for spec in specs:
            if self._buttons:
                row.addWidget(Icon("chevron-right", "faint", 12))
            row.addWidget(self._add(spec))
        self.setLayout(row)

    def _add(self, spec: PageSpec) -> QToolButton:
        button = QToolButton()
        title = localized(spec.title)
        button.setText(f" {title}")
        button.setToolTip(tr("{page} ({shortcut})", page=title, shortcut=spec.shortcut) if spec.shortcut else title)
        button.setAccessibleName(tr("Step {number}: {page}", number=spec.step, page=title))
        button.setProperty("role", "step")
        button.setCheckable(True)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIconSize(QSize(16, 16))
        self._tints[spec.name] = IconTint(button, spec.icon, "muted")
        button.clicked.connect(lambda checked: self.chosen.emit(spec.name))
        self._buttons[spec.name] = button
        return button

    def show_step(self, name: str) -> None:
        """Mark the step that is in view; none for a page beside the steps."""
        for other, button in self._buttons.items():
            tint = self._tints[other]
            button.setChecked(other == name)
            tint.show(tint.name, "accent" if other == name else tint.default_color)

    def show_done(self, name: str, done: bool) -> None:
        """Mark a step as done by a tick."""
        tint, checked = self._tints[name], self._buttons[name].isChecked()
        tint.default_color = "good" if done else "muted"
        tint.show("check" if done else self._specs[name].icon, "accent" if checked else tint.default_color)
