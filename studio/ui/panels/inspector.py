"""The inspector: what is attached, and the settings of the attachment that is chosen."""

import re
from html import escape
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QLabel, QStackedWidget, QWidget

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.ui.engine import Counted
from studio.ui.figures import count, plural, short_count
from studio.ui.forms import Form
from studio.ui.language import tr
from studio.ui.theme import theme
from studio.ui.widgets.fields import SwitchField, TextField
from studio.ui.widgets.parts import Card, Column, Empty, IconButton, Row, clear, line, restyle, scrolled, text
from studio.ui.workspace import Workspace, badge_words

_LISTED = 6


class _AttachmentRow(QFrame):
    """One line of the list: a switch, name and count, and a bin."""

    chosen = Signal(object)

    def __init__(self, name: str, workspace: Workspace) -> None:
        super().__init__()
        self.name = name
        self.setObjectName("attachment")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.switch = SwitchField()
        self.switch.setToolTip(tr("Use this attachment"))
        self.switch.setAccessibleName(tr("Use {name}", name=name))
        self.switch.edited.connect(lambda on: workspace.change_attachment(name, {"enabled": on}))
        self.words, self.count = text("", "field"), text("", "caption")
        bin_ = IconButton(tr("Remove {name}", name=name), "trash", lambda: workspace.detach({name}))
        self.setLayout(Row(self.switch, (Column(self.words, self.count, gap=0), 1), bin_, margins=(10, 6, 4, 6)))

    def mousePressEvent(self, event: Any) -> None:
        """Qt: choose this one."""
        self.chosen.emit(self.name)

    def show_chosen(self, chosen: bool) -> None:
        """Mark it as the one whose settings are shown."""
        self.setProperty("chosen", chosen)
        restyle(self)


class Inspector(QWidget):
    """Edits attachments; shows live which layers each matches and skips."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._counted: Counted | None = None
        self.rows: dict[str, _AttachmentRow] = {}
        self.selected = ""
        self.list = Column(gap=4)
        self.head_switch = QCheckBox(tr("Train the head"))
        self.head_switch.setToolTip(tr("The head is the classifier on top of the backbone"))
        self.head_switch.clicked.connect(lambda on: workspace.set_value("head.trainable", on))
        self.none = text(tr("Nothing is attached yet. Drag a method from the left onto the tree."), "muted", wrap=True)
        listing = Card(tr("Attachments"), self.none, self.list, line(), self.head_switch, padding=14)
        self.settings = AttachmentSettings(workspace)
        self.stack = QStackedWidget()
        empty = Empty(
            "adapter",
            tr("No attachment is chosen"),
            tr("Choose one above or in the tree to change its settings."),
            width=220,
        )
        self.stack.addWidget(empty)
        self.stack.addWidget(scrolled(self.settings))
        card = Card("", (self.stack, 1), padding=14)
        self.setLayout(Column(listing, (card, 1), gap=14))
        workspace.document.changed.connect(lambda recipe: self._show())
        workspace.engine.loaded.connect(self._show)  # only now are the methods of a recipe that is open already known
        self._show()

    def select(self, name: str) -> None:
        """Show the settings of the attachment called ``name``."""
        self.selected = name
        self._show()

    def show_counted(self, counted: Counted) -> None:
        """Show counts and problems."""
        self._counted = counted
        self._show_counts()
        self.settings.show_matches()

    def _show(self) -> None:
        attachments = self._workspace.recipe.attachments
        names = [attachment.name for attachment in attachments]
        added = [name for name in names if name not in self.rows]
        if names != list(self.rows):
            self._rebuild(names)
        if added:
            self.selected = added[-1]
        elif self.selected not in names:
            self.selected = names[-1] if names else ""
        self.head_switch.setChecked(self._workspace.recipe.head.trainable)
        self.none.setVisible(not names)
        for attachment in attachments:
            row = self.rows[attachment.name]
            row.switch.show_value(attachment.enabled)
            row.words.setText(badge_words(attachment, self._workspace.engine))
            row.show_chosen(attachment.name == self.selected)
        self._show_counts()
        chosen = next((a for a in attachments if a.name == self.selected), None)
        self.stack.setCurrentIndex(1 if chosen else 0)
        if chosen:
            self.settings.show_attachment(chosen)

    def _rebuild(self, names: list[str]) -> None:
        clear(self.list)
        self.rows = {name: _AttachmentRow(name, self._workspace) for name in names}
        for row in self.rows.values():
            row.chosen.connect(self.select)
            self.list.addWidget(row)

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


class AttachmentSettings(QWidget):
    """The form for one attachment: where it attaches, and its method's own fields."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._attachment: Attachment | None = None
        self._form: Form | None = None
        self._form_method = ""
        self.title = text("", "heading", wrap=True)
        self.summary = text("", "caption", wrap=True)
        self._paper = ""
        self.paper = QLabel()
        self.paper.setOpenExternalLinks(True)
        self.paper.setWordWrap(True)
        self.paper.setProperty("role", "caption")
        theme().changed.connect(self._colour_link)
        self.targets = TextField()
        self.targets.setAccessibleName(tr("Target layers"))
        self.targets.setToolTip(
            tr("Layer paths, separated by commas. * is one part of a path, ** any number, {6..11} a range.")
        )
        self.targets.textEdited.connect(lambda words: self.show_matches())
        self.targets.edited.connect(self._edit_targets)
        self.matches = text("", "caption", wrap=True)
        self.parts = {part: SwitchField() for part in ("q", "k", "v")}
        for part, switch in self.parts.items():
            switch.setText(part)
            switch.edited.connect(lambda on: self._edit_parts())
        self.part_row = QWidget()
        self.part_row.setLayout(
            Column(text(tr("Slices of the fused qkv"), "field"), Row(*self.parts.values(), None, gap=18), gap=6)
        )
        self.form_box = Column()
        self.setLayout(
            Column(
                self.title,
                self.summary,
                self.paper,
                4,
                self.form_box,
                4,
                line(),
                2,
                text(tr("Attached to"), "field"),
                self.targets,
                self.matches,
                self.part_row,
                None,
                gap=6,
                margins=(0, 0, 6, 0),
            )
        )

    def show_attachment(self, attachment: Attachment) -> None:
        """Show the values of ``attachment``."""
        self._attachment = attachment
        self.targets.show_value(", ".join(attachment.at))
        self._show_method(attachment)
        for part, switch in self.parts.items():
            switch.show_value(part in attachment.slices)
        self.show_matches()

    def show_matches(self) -> None:
        """Say which layers the patterns in the field match and skip."""
        if self._attachment is None or not self._workspace.engine.layers:
            return
        at = patterns(self.targets.text())
        if not at:
            self._say(tr("Name at least one layer or pattern."), bad=True)
            return
        found = self._workspace.engine.resolve(self._attachment.model_copy(update={"at": at}))
        self.part_row.setVisible(any(layer.slices for layer in found.matched))
        if found.problem:
            self._say(tr(found.problem), bad=True)
            return
        lines = [
            tr("Matches {layers}", layers=plural(len(found.matched), "layer")),
            *_some([layer.path or "." for layer in found.matched]),
        ]
        if found.skipped:
            lines += [
                tr("Skips {layers}", layers=plural(len(found.skipped), "layer")),
                *_some([f"{s.path}: {tr(s.reason)}" for s in found.skipped]),
            ]
        self._say("\n".join(lines), bad=False)

    def _say(self, words: str, bad: bool) -> None:
        self.matches.setText(words)
        self.matches.setProperty("role", "bad" if bad else "caption")
        restyle(self.matches)
        self.targets.setProperty("wrong", bad)
        restyle(self.targets)

    def _show_method(self, attachment: Attachment) -> None:
        try:
            method = self._workspace.engine.method(attachment.method)
        except StudioError as error:
            self._drop_form(attachment, str(error))
            return
        if self._form_method != method.name:
            clear(self.form_box)
            self._form, self._form_method = Form(method.Config), method.name
            self._form.edited.connect(self._edit_config)
            self.form_box.addWidget(self._form)
        self.title.setText(f"{tr(method.label)}: {attachment.name}")
        self.summary.setText(tr(method.summary))
        self._paper = method.paper
        self._colour_link()
        assert self._form is not None
        defaults = {
            name: info.get_default(call_default_factory=True) for name, info in method.Config.model_fields.items()
        }
        self._form.show_values(defaults | dict(attachment.config))

    def _drop_form(self, attachment: Attachment, why: str) -> None:
        clear(self.form_box)
        self._form, self._form_method = None, ""
        self.title.setText(attachment.name)
        self.summary.setText(tr(why))
        self._paper = ""
        self._colour_link()

    def _colour_link(self) -> None:
        self.paper.setText(linked(self._paper))

    def _edit_config(self, name: str, value: Any) -> None:
        assert self._attachment is not None
        config = dict(self._attachment.config) | {name: value}
        self._workspace.change_attachment(self._attachment.name, {"config": config}, name)

    def _edit_targets(self, words: str) -> None:
        if self._attachment is not None and (at := patterns(words)):
            self._workspace.change_attachment(self._attachment.name, {"at": at})

    def _edit_parts(self) -> None:
        assert self._attachment is not None
        slices = tuple(part for part, switch in self.parts.items() if switch.isChecked())
        self._workspace.change_attachment(self._attachment.name, {"slices": slices})


def patterns(words: str) -> tuple[str, ...]:
    """The patterns in a field, separated by commas or spaces."""
    return tuple(re.split(r"[,\s]+", words.strip(", \t"))) if words.strip(", \t") else ()


def linked(paper: str) -> str:
    """A paper's name as a link to it, where its address stands behind the name."""
    name, _, address = paper.rpartition(", http")
    if not address:
        return escape(paper)
    return f'<a href="http{escape(address)}" style="color: {theme().tokens.accent}">{escape(name)}</a>'


def _some(lines: list[str]) -> list[str]:
    shown = [f"   {entry}" for entry in lines[:_LISTED]]
    return shown if len(lines) <= _LISTED else [*shown, "   " + tr("and {n} more", n=count(len(lines) - _LISTED))]
