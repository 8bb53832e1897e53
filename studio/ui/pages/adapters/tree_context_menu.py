"""The context menu of the layer tree."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu, QWidget

from studio.ui.i18n.language import localized, tr
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.tree_data import Badge, NodeRef
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.menu import Menu


@dataclass(frozen=True)
class MenuContext:
    """The content of the menu: palette rows, badges, and the copied attachment."""

    refs: tuple[NodeRef, ...]
    chosen: MethodRow | None
    methods: tuple[MethodRow, ...]
    presets: tuple[MethodRow, ...]
    badges: tuple[Badge, ...] = ()
    copied: LiftedAttachment | None = None


class TreeContextMenu(Menu):
    """Attach, copy, paste and remove.

    Impossible actions are disabled, with the reason as tool tip.
    """

    def __init__(
        self,
        parent: QWidget,
        workspace: Workspace,
        context: MenuContext,
        edit: Callable[[str], None],
        copy: Callable[..., None],
    ) -> None:
        super().__init__(parent)
        self._workspace, self._context = workspace, context
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setToolTipsVisible(True)
        if context.chosen is not None:
            self._add_method_action(self, context.chosen)
            self._add_same_kind_action(context.chosen)
        self._submenu(tr("Attach other method"), [row for row in context.methods if row != context.chosen])
        self._submenu(tr("Presets"), [row for row in context.presets if row != context.chosen])
        if context.copied is not None:
            self._add_attach_action(self, tr("Paste {name}", name=context.copied.attachment.name), context.copied, "")
        for badge in context.badges:
            self._add_badge_actions(badge, edit, copy)

    def _submenu(self, title: str, rows: list[MethodRow]) -> None:
        menu = Menu(self, title)
        menu.setToolTipsVisible(True)
        for row in rows:
            self._add_method_action(menu, row)
        menu.setEnabled(bool(rows))
        self.addMenu(menu)

    def _add_method_action(self, menu: QMenu, row: MethodRow) -> None:
        text = tr("Attach {label}", label=localized(row.label))
        self._add_attach_action(menu, text, row.payload, localized(row.summary))

    def _add_attach_action(self, menu: QMenu, text: str, payload: DragPayload, tool_tip: str) -> None:
        reason = self._workspace.attachment_editor.attach_error(payload, self._context.refs)
        action = menu.addAction(text, partial(self._workspace.attach, payload, self._context.refs))
        action.setEnabled(not reason)
        action.setToolTip(localized(reason) or tool_tip)

    def _add_same_kind_action(self, row: MethodRow) -> None:
        editor = self._workspace.attachment_editor
        refs = editor.same_kind(self._context.refs)
        if len(refs) > len(self._context.refs) and not editor.attach_error(row.payload, refs):
            text = tr("Attach {label} to all {n} of this kind", label=localized(row.label), n=len(refs))
            self.addAction(text, partial(self._workspace.attach, row.payload, refs))

    def _add_badge_actions(self, badge: Badge, edit: Callable[[str], None], copy: Callable[..., None]) -> None:
        name, editor = badge.attachment, self._workspace.attachment_editor
        places = [place for place in editor.attached_within(self._context.refs) if place[0] == name]
        self.addSeparator()
        self.addAction(tr("Edit {attachment}", attachment=name), partial(edit, name))
        self.addAction(tr("Copy {attachment}", attachment=name), partial(copy, name))
        if places and editor.layer_count(name) > len(places):
            text = tr("Remove {attachment} here", attachment=name)
            self.addAction(text, partial(self._workspace.detach_at, places))
        self.addAction(tr("Remove {attachment}", attachment=name), partial(self._workspace.detach, {name}))
