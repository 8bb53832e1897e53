"""The inspector: the list of attachments, and the settings of the selected ones."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QStackedWidget, QWidget

from studio.core.recipe import Recipe
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.adapters.annotations import attachment_label
from studio.ui.pages.adapters.attachment_form import AttachmentForm
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_short_count
from studio.ui.widgets.components import (
    Card,
    EmptyState,
    HBox,
    IconButton,
    VBox,
    clear_layout,
    container,
    repolish,
    scroll_area,
    separator,
    text_label,
)
from studio.ui.widgets.fields import SwitchField
from studio.ui.widgets.scroll import restore_scroll

_ROW_HEIGHT = 52
_MAX_ROWS = 4.5
"""Number of attachments in view before the list scrolls; the half row indicates that there are more."""
_MAX_HEIGHT_SHARE, _LIST_MARGIN = 0.45, 110
"""Maximum share of the height for the list, and the height of its surroundings in pixels."""
_ADD_MODIFIERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class _AttachmentRow(QFrame):
    """One row of the list: a switch, name and count, and a button to remove.

    ``chosen`` carries the name, and whether it is added to the selection.
    """

    chosen = Signal(object, object)

    def __init__(self, name: str, workspace: Workspace) -> None:
        super().__init__()
        self.name = name
        self._workspace = workspace
        self.setObjectName("attachment")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        self.setToolTip(tr("Click to edit; Ctrl+click to edit several at once"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.switch = SwitchField()
        self.switch.setToolTip(tr("Use this attachment"))
        self.switch.setAccessibleName(tr("Use {name}", name=name))
        self.switch.edited.connect(lambda on: workspace.change_attachment(name, {"enabled": on}))
        self.title, self.count_label = text_label("", "field"), text_label("", "caption")
        remove = IconButton(tr("Remove {name}", name=name), "trash", lambda: workspace.detach({name}))
        texts = VBox(self.title, self.count_label, gap=0)
        self.setLayout(HBox(self.switch, (texts, 1), remove, margins=(10, 6, 4, 6)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: select this attachment."""
        self.chosen.emit(self.name, bool(event.modifiers() & _ADD_MODIFIERS))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter or Space selects, with Ctrl in addition to the others; Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self.name, bool(event.modifiers() & _ADD_MODIFIERS))
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._workspace.detach({self.name})
        else:
            super().keyPressEvent(event)

    def set_selected(self, selected: bool) -> None:
        """Mark it as one of the attachments whose settings are shown."""
        self.setProperty("chosen", selected)
        repolish(self)


class Inspector(QWidget):
    """Edits the selected attachments, and shows which layers they match and skip."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._counts: RecipeCounts | None = None
        self.rows: dict[str, _AttachmentRow] = {}
        self.selected_names: tuple[str, ...] = ()
        self._build()
        workspace.document.changed.connect(self._show_recipe)
        workspace.engine.loaded.connect(self._show)  # the methods of an open recipe are unknown before
        self._show()

    def _build(self) -> None:
        self.list = VBox(gap=4)
        self._list_area = scroll_area(container(VBox(self.list, None, gap=0)))
        self.head_switch = QCheckBox(tr("Train the head"))
        self.head_switch.setToolTip(tr("The head is the classifier on top of the backbone"))
        self.head_switch.clicked.connect(lambda on: self._workspace.set_value("head.trainable", on))
        text = tr("No attachments yet. Drag a method from the left onto the tree.")
        self.empty_label = text_label(text, "muted", wrap=True)
        listing = Card(tr("Attachments"), self.empty_label, self._list_area, separator(), self.head_switch, padding=14)
        self.settings = AttachmentForm(self._workspace)
        self._settings_area = scroll_area(self.settings)
        self.stack = QStackedWidget()
        text = tr("Select one above or in the tree to edit its settings.")
        self.stack.addWidget(EmptyState("adapter", tr("No attachment selected"), text, width=220))
        self.stack.addWidget(self._settings_area)
        card = Card("", (self.stack, 1), padding=14)
        self.setLayout(VBox(listing, (card, 1), gap=14))

    def view_state(self) -> dict[str, Any]:
        """Return the selected attachments and the scroll position of the form."""
        return {"names": self.selected_names, "scroll": self._settings_area.verticalScrollBar().value()}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.select(*state.get("names", ()))
        restore_scroll(self._settings_area, state.get("scroll", 0))

    @property
    def last_selected(self) -> str:
        """The attachment that was selected last; empty without one."""
        return self.selected_names[-1] if self.selected_names else ""

    def select(self, *names: str) -> None:
        """Show the settings of these attachments together."""
        self.selected_names = names
        self._show()

    def edit(self, name: str) -> None:
        """Show the settings of the attachment ``name``, and give them the keyboard focus."""
        self.select(name)
        form = self.settings.form
        field = next(iter(form.fields.values()), None) if form else None
        (field or self.settings.targets).setFocus(Qt.FocusReason.OtherFocusReason)

    def _row_chosen(self, name: str, add: bool) -> None:
        if not add:
            self.select(name)
        elif name not in self.selected_names:
            self.select(*self.selected_names, name)
        elif len(self.selected_names) > 1:
            self.select(*(other for other in self.selected_names if other != name))

    def show_counts(self, counts: RecipeCounts) -> None:
        """Show counts and problems."""
        self._counts = counts
        self._show_counts()
        self.settings.refresh()

    def _show_recipe(self, recipe: Recipe) -> None:
        self._show()

    def _show(self) -> None:
        attachments = self._workspace.recipe.attachments
        names = [attachment.name for attachment in attachments]
        added = [name for name in names if name not in self.rows]
        if names != list(self.rows):
            self._rebuild(names)
        kept = tuple(name for name in self.selected_names if name in names)
        self.selected_names = tuple(added[-1:]) or kept or tuple(names[-1:])
        self.head_switch.setChecked(self._workspace.recipe.head.trainable)
        self.empty_label.setVisible(not names)
        for attachment in attachments:
            row = self.rows[attachment.name]
            row.switch.show_value(attachment.enabled)
            row.title.setText(attachment_label(attachment, self._workspace.engine))
            row.set_selected(attachment.name in self.selected_names)
        self._show_counts()
        shown = [a for a in attachments if a.name in self.selected_names]
        self.stack.setCurrentIndex(1 if shown else 0)
        if shown:
            self.settings.show_attachments(shown)
        if added:
            QTimer.singleShot(0, self, self._reveal_selected)

    def _reveal_selected(self) -> None:
        """Scroll the list to the attachment that was added, once it has its place."""
        if row := self.rows.get(self.last_selected):
            self._list_area.ensureWidgetVisible(row, 0, 0)

    def _rebuild(self, names: list[str]) -> None:
        clear_layout(self.list)
        self.rows = {name: _AttachmentRow(name, self._workspace) for name in names}
        for row in self.rows.values():
            row.chosen.connect(self._row_chosen)
            self.list.addWidget(row)
        self._list_area.setVisible(bool(names))
        self._fit_list()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: fit the list to its share of the height."""
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        room = max(1.5, (self.height() * _MAX_HEIGHT_SHARE - _LIST_MARGIN) // _ROW_HEIGHT + 0.5)
        self._list_area.setFixedHeight(round(min(len(self.rows), _MAX_ROWS, room) * _ROW_HEIGHT))

    def _show_counts(self) -> None:
        for name, row in self.rows.items():
            text, role = self._count_text(name)
            row.count_label.setText(text)
            row.count_label.setProperty("role", role)
            repolish(row.count_label)

    def _count_text(self, name: str) -> tuple[str, str]:
        """Return the counts of the attachment ``name``, and the role of the label."""
        counts = self._counts
        if counts is None or counts.parameter_counts is None:
            return name, "caption"
        if problem := counts.problems.get(name):
            self.rows[name].setToolTip(localized(problem))
            return tr("{name}: no matches", name=name), "bad"
        own = next((a for a in counts.parameter_counts.attachments if a.name == name), None)
        if own is None:
            return tr("{name}: off", name=name), "caption"
        text = tr_n(
            "{name}: {n:,} layer, +{parameters}",
            "{name}: {n:,} layers, +{parameters}",
            len(own.matched),
            name=name,
            parameters=format_short_count(own.parameters),
        )
        return text, "caption"
