"""The inspector: what is attached, and the settings of the attachments that are chosen."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QStackedWidget, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.attachment_form import AttachmentSettings
from studio.ui.services.engine import Counted
from studio.ui.services.workspace import Workspace, badge_words
from studio.ui.style.formatting import plural, short_count
from studio.ui.widgets.components import (
    Card,
    Column,
    Empty,
    IconButton,
    Row,
    clear,
    holder,
    line,
    restyle,
    scrolled,
    text,
)
from studio.ui.widgets.fields import SwitchField

_ROW = 52
_ROWS = 4.5
"""So many attachments are in view before the list scrolls; the half tells that there are more."""
_SHARE, _AROUND = 0.45, 110
"""The list takes at most this share of the height, with so many points around it."""
_ADDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


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
        self.words, self.count = text("", "field"), text("", "caption")
        bin_ = IconButton(tr("Remove {name}", name=name), "trash", lambda: workspace.detach({name}))
        self.setLayout(Row(self.switch, (Column(self.words, self.count, gap=0), 1), bin_, margins=(10, 6, 4, 6)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose this one."""
        self.chosen.emit(self.name, bool(event.modifiers() & _ADDS))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter or Space chooses, with Ctrl as well as the others; Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self.name, bool(event.modifiers() & _ADDS))
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._workspace.detach({self.name})
        else:
            super().keyPressEvent(event)

    def show_chosen(self, chosen: bool) -> None:
        """Mark it as one of those whose settings are shown."""
        self.setProperty("chosen", chosen)
        restyle(self)


class Inspector(QWidget):
    """Edits attachments, several at once where several are chosen; shows live which layers each matches and skips."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._counted: Counted | None = None
        self.rows: dict[str, _AttachmentRow] = {}
        self.chosen: tuple[str, ...] = ()
        self._build()
        workspace.document.changed.connect(lambda recipe: self._show())
        workspace.engine.loaded.connect(self._show)  # only now are the methods of a recipe that is open already known
        self._show()

    def _build(self) -> None:
        self.list = Column(gap=4)
        self._listing = scrolled(holder(Column(self.list, None, gap=0)))
        self.head_switch = QCheckBox(tr("Train the head"))
        self.head_switch.setToolTip(tr("The head is the classifier on top of the backbone"))
        self.head_switch.clicked.connect(lambda on: self._workspace.set_value("head.trainable", on))
        self.none = text(tr("Nothing is attached yet. Drag a method from the left onto the tree."), "muted", wrap=True)
        listing = Card(tr("Attachments"), self.none, self._listing, line(), self.head_switch, padding=14)
        self.settings = AttachmentSettings(self._workspace)
        self.stack = QStackedWidget()
        words = tr("Choose one above or in the tree to change its settings.")
        self.stack.addWidget(Empty("adapter", tr("No attachment is chosen"), words, width=220))
        self.stack.addWidget(scrolled(self.settings))
        card = Card("", (self.stack, 1), padding=14)
        self.setLayout(Column(listing, (card, 1), gap=14))

    @property
    def selected(self) -> str:
        """The attachment chosen last; empty where there is none."""
        return self.chosen[-1] if self.chosen else ""

    def select(self, *names: str) -> None:
        """Show the settings of the attachments called so, together."""
        self.chosen = names
        self._show()

    def edit(self, name: str) -> None:
        """Show the settings of the attachment called ``name``, and let the keys go there."""
        self.select(name)
        form = self.settings.form
        field = next(iter(form.fields.values()), None) if form else None
        (field or self.settings.targets).setFocus(Qt.FocusReason.OtherFocusReason)

    def _choose(self, name: str, add: bool) -> None:
        if not add:
            self.select(name)
        elif name not in self.chosen:
            self.select(*self.chosen, name)
        elif len(self.chosen) > 1:
            self.select(*(other for other in self.chosen if other != name))

    def show_counted(self, counted: Counted) -> None:
        """Show counts and problems."""
        self._counted = counted
        self._show_counts()
        self.settings.show_counted()

    def _show(self) -> None:
        attachments = self._workspace.recipe.attachments
        names = [attachment.name for attachment in attachments]
        added = [name for name in names if name not in self.rows]
        if names != list(self.rows):
            self._rebuild(names)
        kept = tuple(name for name in self.chosen if name in names)
        self.chosen = tuple(added[-1:]) or kept or tuple(names[-1:])
        self.head_switch.setChecked(self._workspace.recipe.head.trainable)
        self.none.setVisible(not names)
        for attachment in attachments:
            row = self.rows[attachment.name]
            row.switch.show_value(attachment.enabled)
            row.words.setText(badge_words(attachment, self._workspace.engine))
            row.show_chosen(attachment.name in self.chosen)
        self._show_counts()
        shown = [a for a in attachments if a.name in self.chosen]
        self.stack.setCurrentIndex(1 if shown else 0)
        if shown:
            self.settings.show_attachments(shown)

    def _rebuild(self, names: list[str]) -> None:
        clear(self.list)
        self.rows = {name: _AttachmentRow(name, self._workspace) for name in names}
        for row in self.rows.values():
            row.chosen.connect(self._choose)
            self.list.addWidget(row)
        self._listing.setVisible(bool(names))
        self._fit_list()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the list takes no more than its share."""
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        room = max(1.5, (self.height() * _SHARE - _AROUND) // _ROW + 0.5)
        self._listing.setFixedHeight(round(min(len(self.rows), _ROWS, room) * _ROW))

    def _show_counts(self) -> None:
        for name, row in self.rows.items():
            words, role = self._count_of(name)
            row.count.setText(words)
            row.count.setProperty("role", role)
            restyle(row.count)

    def _count_of(self, name: str) -> tuple[str, str]:
        counted = self._counted
        if counted is None or counted.census is None:
            return name, "caption"
        if problem := counted.problems.get(name):
            row = self.rows[name]
            row.setToolTip(tr(problem))
            return tr("{name}: matches nothing", name=name), "bad"
        found = next((a for a in counted.census.attachments if a.name == name), None)
        if found is None:
            return tr("{name}, switched off", name=name), "caption"
        return f"{name}, {plural(len(found.matched), 'layer')}, +{short_count(found.parameters)}", "caption"
