"""How the rows of the layer tree are drawn: name with a glyph of its state, numbers, badges or a roll-up."""

from collections.abc import Iterable
from typing import cast

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.core.layers import Role
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.layer_tree_model import (
    ATTACHMENTS,
    DIM_ROLE,
    NAME,
    NODE_ROLE,
    PAIR_ROLE,
    PARAMETERS,
    TARGET_ROLE,
    TRAINABLE,
    TYPE,
    LayerTree,
)
from studio.ui.services.tree_data import Badge, Node, RollUp, badge_text
from studio.ui.shared.grad_norms import Pulls
from studio.ui.shared.recipe_layers import Pair
from studio.ui.style.formatting import plural, short_count
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import colour
from studio.ui.widgets.painting import badge_width, draw_badge, small_font, strong_font

ROW = 28
_GAP = 6
_LEAST = 30
"""No badge begins where there is less room than this."""


class RowPainter(QStyledItemDelegate):
    """Draws the cells: name with a glyph of its state, type and shape, numbers, badges or a roll-up."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: rows of one height."""
        return QSize(80, ROW)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one cell."""
        node: Node = index.data(NODE_ROLE)
        model = cast(LayerTree, index.model())
        roll_up = model.roll_up(index.internalId())
        painter.save()
        target, is_open = index.data(TARGET_ROLE), bool(option.state & QStyle.StateFlag.State_Open)
        if target == "target" or (target == "holder" and not is_open):
            painter.fillRect(option.rect, colour("adapter_soft"))
        elif option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, colour("accent_soft"))
        elif option.state & QStyle.StateFlag.State_MouseOver or target == "kin":
            painter.fillRect(option.rect, colour("hover"))
        if (target == "kin" or (target == "kin holder" and not is_open)) and index.column() == NAME:
            painter.fillRect(option.rect.left(), option.rect.top() + 4, 3, option.rect.height() - 8, colour("accent"))
        if index.data(DIM_ROLE):
            painter.setOpacity(0.32)
        area = cell_area(option.rect)
        column = index.column()
        if column == NAME:
            self._name(painter, area, node, roll_up, str(index.data()))
        elif column == TYPE:
            self._plain(painter, area, str(index.data()), "muted")
        elif column == PARAMETERS:
            self._number(painter, area, str(index.data()), "text")
        elif column == TRAINABLE:
            self._trainable(painter, area, node, roll_up, str(index.data()))
        elif column == ATTACHMENTS:
            self._attachments(painter, area, node, roll_up, model, bool(option.state & QStyle.StateFlag.State_Open))
        painter.restore()

    def _name(self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, words: str) -> None:
        icon, tint = state_glyph(node, roll_up)
        if icon:
            painter.drawPixmap(area.left(), area.center().y() - 7, pixmap(icon, tint, 15))
        strong = node.layer.role in (Role.BLOCK, Role.BACKBONE, Role.STAGE, Role.HEAD)
        painter.setFont(strong_font(painter.font()) if strong else painter.font())
        self._plain(painter, area.adjusted(22, 0, 0, 0), words, "text", small=False)

    def _plain(self, painter: QPainter, area: QRect, words: str, tint: str, small: bool = True) -> None:
        if small:
            painter.setFont(small_font(painter.font()))
        painter.setPen(colour(tint))
        cut = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)

    def _number(self, painter: QPainter, area: QRect, words: str, tint: str) -> None:
        painter.setFont(small_font(painter.font()))
        painter.setPen(colour(tint))
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), words)

    def _trainable(self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, words: str) -> None:
        own = "head" if node.is_head or not roll_up.adapter_parameters else "adapter"
        tints = {tr("frozen"): "muted", tr("adapter"): "adapter"}
        self._number(painter, area, words, tints.get(words, own))

    def _attachments(
        self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, model: LayerTree, is_open: bool
    ) -> None:
        for tag in tags(node, model, is_open):
            box = QRect(area.left(), area.top(), _tag_width(tag, area), area.height())
            draw_badge(painter, box, tag, "second", "sunken", icon="", outlined=True)
            area = after_tags(area, (tag,))
        for box, badge in badge_boxes(area, model.badges(node), node.part):
            moved = model.pulls.has_moved(badge.attachment, node.layer.path)
            strong, soft = ("adapter", "adapter_soft") if badge.enabled else ("muted", "frozen_soft")
            strong, soft, sign = (strong, soft, "adapter") if moved else ("bad", "bad_soft", "warning")
            draw_badge(painter, box, badge_text(badge, node.part), strong, soft, sign)
            draw_pull(painter, box, model.pulls, badge.attachment, node.layer.path)
            area.setLeft(box.right() + _GAP)
        if node.is_head and roll_up.head_parameters:
            draw_badge(painter, area, tr("head, trained"), "head", "head_soft", "head")
        elif node.children and roll_up.badges and not is_open and not node.layer.slices:
            self._plain(painter, area, rolled_up(roll_up), "adapter" if roll_up.works else "muted")


def rolled_up(roll_up: RollUp) -> str:
    """``4 adapters, +49k``; without the sum where nothing was counted yet, or that all are switched off."""
    words = plural(roll_up.badges, "adapter")
    if not roll_up.works:
        return tr("{method} off", method=words)
    return f"{words}, +{short_count(roll_up.adapter_parameters)}" if roll_up.adapter_parameters else words


def draw_pull(painter: QPainter, box: QRect, pulls: Pulls, attachment: str, path: str) -> None:
    """Under a badge, a line as long as training pulls there strongly; none where that is not known."""
    if pulls.norm(attachment, path) is not None:
        line = QRect(box.left() + 4, box.center().y() + 11, box.width() - 8, 2)
        painter.fillRect(line, colour("line"))
        line.setWidth(round(line.width() * pulls.share(attachment, path)))
        painter.fillRect(line, colour("adapter"))


def tags(node: Node, model: LayerTree, is_open: bool) -> list[str]:
    """What stands before a row's badges while its recipe is compared with another."""
    pair: Pair | None = None if node.part else model.index_of(node.spot).data(PAIR_ROLE)
    if not is_open and node.children and not node.layer.slices and (inside := model.differing(node.layer.path)):
        return [tr("{n} differ", n=inside)]
    if pair is None or not pair.differs:
        return []
    other = [words for words in pair.right if words not in pair.left] or pair.right
    return [f"B: {words}" for words in other] or [tr("only in A")]


def after_tags(area: QRect, words: Iterable[str]) -> QRect:
    """What ``words`` before the badges leave of a cell's ``area``."""
    for tag in words:
        area = area.adjusted(_tag_width(tag, area) + _GAP, 0, 0, 0)
    return area


def _tag_width(tag: str, area: QRect) -> int:
    """Half of the room at most: the row's own badges stand behind it."""
    return min(badge_width(tag, ""), area.width() // 2)


def badge_boxes(area: QRect, badges: Iterable[Badge], part: str) -> list[tuple[QRect, Badge]]:
    """Where in a cell's ``area`` its badges stand, from left to right, as far as there is room."""
    boxes: list[tuple[QRect, Badge]] = []
    left = area.left()
    for badge in badges:
        room = area.right() - left
        if boxes and room < _LEAST:
            break
        wide = min(badge_width(badge_text(badge, part)), room)
        boxes.append((QRect(left, area.top(), wide, area.height()), badge))
        left += wide + _GAP
    return boxes


def cell_area(rect: QRect) -> QRect:
    """The part of a cell that is drawn in."""
    return rect.adjusted(4, 0, -8, 0)


def state_glyph(node: Node, roll_up: RollUp) -> tuple[str, str]:
    """Icon and colour of a row: adapted, trained head, holding trained layers, frozen, or none without parameters."""
    if node.is_head and roll_up.head_parameters:
        return "head", "head"
    if roll_up.works:
        return "adapter", "adapter"
    if roll_up.head_parameters:
        return "trainable", "head"
    if roll_up.badges:
        return "adapter", "muted"
    return ("frozen", "frozen") if node.layer.parameters else ("", "frozen")
