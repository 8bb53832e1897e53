"""The inspector: what is attached, and the settings of the attachments that are chosen."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QStackedWidget, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.annotations import attachment_label
from studio.ui.pages.adapters.attachment_form import AttachmentForm
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_short_count, pluralize
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

_ROW_HEIGHT = 52
_MAX_ROWS = 4.5
"""So many attachments are in view before the list scrolls; the half tells that there are more."""
_MAX_HEIGHT_SHARE, _LIST_MARGIN = 0.45, 110
"""The list takes at most this share of the height, with so many points around it."""
_ADD_MODIFIERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class _AttachmentRow(QFrame):
    """One line of the list: a switch, name and count, and a bin.

    ``chosen`` carries its name, and whether it is chosen as well as others.
    """

    chosen = Signal(object, object)

    def __init__(self, name: str, workspace: Workspace) -> None:
        super().__init__()
        self.name = name
        self._workspace = workspace
        self.setObjectName("attachment")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        self.setToolTip(tr("Click to change its settings; Ctrl and click to change several at once"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.switch = SwitchField()
        self.switch.setToolTip(tr("Use this attachment"))
        self.switch.setAccessibleName(tr("Use {name}", name=name))
        self.switch.edited.connect(lambda on: workspace.change_attachment(name, {"enabled": on}))
        self.title, self.count_label = text_label("", "field"), text_label("", "caption")
        bin_ = IconButton(tr("Remove {name}", name=name), "trash", lambda: workspace.detach({name}))
        self.setLayout(HBox(self.switch, (VBox(self.title, self.count_label, gap=0), 1), bin_, margins=(10, 6, 4, 6)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose this one."""
        self.chosen.emit(self.name, bool(event.modifiers() & _ADD_MODIFIERS))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter or Space chooses, with Ctrl as well as the others; Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self.name, bool(event.modifiers() & _ADD_MODIFIERS))
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._workspace.detach({self.name})
        else:
            super().keyPressEvent(event)

    def set_selected(self, selected: bool) -> None:
        """Mark it as one of those whose settings are shown."""
        self.setProperty("chosen", selected)
        repolish(self)


class Inspector(QWidget):
    """Edits attachments, several at once where several are chosen; shows live which layers each matches and skips."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._counts: RecipeCounts | None = None
        self.rows: dict[str, _AttachmentRow] = {}
        self.selected_names: tuple[str, ...] = ()
        self._build()
        workspace.document.changed.connect(lambda recipe: self._show())
        workspace.engine.loaded.connect(self._show)  # only now are the methods of a recipe that is open already known
        self._show()

    def _build(self) -> None:
        self.list = VBox(gap=4)
        self._list_area = scroll_area(container(VBox(self.list, None, gap=0)))
        self.head_switch = QCheckBox(tr("Train the head"))
        self.head_switch.setToolTip(tr("The head is the classifier on top of the backbone"))
        self.head_switch.clicked.connect(lambda on: self._workspace.set_value("head.trainable", on))
        self.empty_label = text_label(
            tr("Nothing is attached yet. Drag a method from the left onto the tree."), "muted", wrap=True
        )
        listing = Card(tr("Attachments"), self.empty_label, self._list_area, separator(), self.head_switch, padding=14)
        self.settings = AttachmentForm(self._workspace)
        self.stack = QStackedWidget()
        words = tr("Choose one above or in the tree to change its settings.")
        self.stack.addWidget(EmptyState("adapter", tr("No attachment is chosen"), words, width=220))
        self.stack.addWidget(scroll_area(self.settings))
        card = Card("", (self.stack, 1), padding=14)
        self.setLayout(VBox(listing, (card, 1), gap=14))

    @property
    def last_selected(self) -> str:
        """The attachment chosen last; empty where there is none."""
        return self.selected_names[-1] if self.selected_names else ""

    def select(self, *names: str) -> None:
        """Show the settings of the attachments called so, together."""
        self.selected_names = names
        self._show()

    def edit(self, name: str) -> None:
        """Show the settings of the attachment called ``name``, and let the keys go there."""
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

    def _rebuild(self, names: list[str]) -> None:
        clear_layout(self.list)
        self.rows = {name: _AttachmentRow(name, self._workspace) for name in names}
        for row in self.rows.values():
            row.chosen.connect(self._row_chosen)
            self.list.addWidget(row)
        self._list_area.setVisible(bool(names))
        self._fit_list()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the list takes no more than its share."""
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        room = max(1.5, (self.height() * _MAX_HEIGHT_SHARE - _LIST_MARGIN) // _ROW_HEIGHT + 0.5)
        self._list_area.setFixedHeight(round(min(len(self.rows), _MAX_ROWS, room) * _ROW_HEIGHT))

    def _show_counts(self) -> None:
        for name, row in self.rows.items():
            words, role = self._count_text(name)
            row.count_label.setText(words)
            row.count_label.setProperty("role", role)
            repolish(row.count_label)

    def _count_text(self, name: str) -> tuple[str, str]:
        counted = self._counts
        if counted is None or counted.parameter_counts is None:
            return name, "caption"
        if problem := counted.problems.get(name):
            row = self.rows[name]
            row.setToolTip(tr(problem))
            return tr("{name}: matches nothing", name=name), "bad"
        found = next((a for a in counted.parameter_counts.attachments if a.name == name), None)
        if found is None:
            return tr("{name}, switched off", name=name), "caption"
        return f"{name}, {pluralize(len(found.matched), 'layer')}, +{format_short_count(found.parameters)}", "caption"
