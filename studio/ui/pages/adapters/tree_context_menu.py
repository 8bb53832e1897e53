"""The context menu of the layer tree."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu, QWidget

from studio.ui.i18n.language import tr
from studio.ui.services.drag_payload import Carried, Lifted
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.tree_data import Badge, Spot
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.menu import Menu


@dataclass(frozen=True)
class Offer:
    """What the menu can offer at a place: rows of the palette, badges there, and what was copied."""

    spots: tuple[Spot, ...]
    chosen: MethodRow | None
    methods: tuple[MethodRow, ...]
    presets: tuple[MethodRow, ...]
    badges: tuple[Badge, ...] = ()
    copied: Lifted | None = None


class TreeMenu(Menu):
    """Attach, copy, paste and take off; what cannot be done here is disabled and says why."""

    def __init__(
        self,
        parent: QWidget,
        workspace: Workspace,
        offer: Offer,
        edit: Callable[[str], None],
        copy: Callable[..., None],
    ) -> None:
        super().__init__(parent)
        self._workspace, self._offer = workspace, offer
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setToolTipsVisible(True)
        if offer.chosen is not None:
            self._attach(self, offer.chosen)
            self._attach_to_kind(offer.chosen)
        self._submenu(tr("Attach another"), [row for row in offer.methods if row != offer.chosen])
        self._submenu(tr("Presets"), [row for row in offer.presets if row != offer.chosen])
        if offer.copied is not None:
            self._put(self, tr("Paste {name}", name=offer.copied.attachment.name), offer.copied, "")
        for badge in offer.badges:
            self._of_badge(badge, edit, copy)

    def _submenu(self, words: str, rows: list[MethodRow]) -> None:
        menu = Menu(self, words)
        menu.setToolTipsVisible(True)
        for row in rows:
            self._attach(menu, row)
        menu.setEnabled(bool(rows))
        self.addMenu(menu)

    def _attach(self, menu: QMenu, row: MethodRow) -> None:
        self._put(menu, tr("Attach {label}", label=tr(row.label)), row.carried, tr(row.summary))

    def _put(self, menu: QMenu, words: str, carried: Carried, tip: str) -> None:
        why = self._workspace.attaching.refusal(carried, self._offer.spots)
        action = menu.addAction(words, partial(self._workspace.attach, carried, self._offer.spots))
        action.setEnabled(not why)
        action.setToolTip(tr(why) or tip)

    def _attach_to_kind(self, row: MethodRow) -> None:
        kin = self._workspace.attaching.alike(self._offer.spots)
        if len(kin) > len(self._offer.spots) and not self._workspace.attaching.refusal(row.carried, kin):
            words = tr("Attach {label} to all {n} of this kind", label=tr(row.label), n=len(kin))
            self.addAction(words, partial(self._workspace.attach, row.carried, kin))

    def _of_badge(self, badge: Badge, edit: Callable[[str], None], copy: Callable[..., None]) -> None:
        name, attaching = badge.attachment, self._workspace.attaching
        here = attaching.attached_in(self._offer.spots)
        places = [place for place in here if place[0] == name]
        self.addSeparator()
        self.addAction(tr("Edit {attachment}", attachment=name), partial(edit, name))
        self.addAction(tr("Copy {attachment}", attachment=name), partial(copy, name))
        if places and attaching.sites(name) > len(places):
            self.addAction(tr("Take {attachment} off here", attachment=name), partial(attaching.take_off, places))
        self.addAction(tr("Remove {attachment}", attachment=name), partial(self._workspace.detach, {name}))
