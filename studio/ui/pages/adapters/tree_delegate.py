"""Drawing of the layer tree: names with icons, numbers, badges or a summary."""

from collections.abc import Iterable
from typing import cast

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.core.layers import Role
from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.adapters.annotations import badge_text
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
from studio.ui.services.tree_data import Badge, Node, SubtreeSummary
from studio.ui.shared.grad_norms import GradNorms
from studio.ui.shared.recipe_layers import LayerPair
from studio.ui.style.formatting import format_short_count
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color
from studio.ui.widgets.painting import badge_width, draw_badge, small_font, strong_font

ROW_HEIGHT = 28
_GAP = 6
_MIN_BADGE_WIDTH = 30
"""Minimum width of a badge after the first one, in pixels."""


class LayerDelegate(QStyledItemDelegate):
    """Draws the cells of the layer tree."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: all rows have one height."""
        return QSize(80, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one cell."""
        node: Node = index.data(NODE_ROLE)
        model = cast(LayerTree, index.model())
        summary = model.summary(index.internalId())
        is_open = bool(option.state & QStyle.StateFlag.State_Open)
        painter.save()
        self._draw_background(painter, option, index, is_open)
        if index.data(DIM_ROLE):
            painter.setOpacity(0.32)
        area = cell_area(option.rect)
        column = index.column()
        if column == NAME:
            self._draw_name(painter, area, node, summary, str(index.data()))
        elif column == TYPE:
            self._draw_text(painter, area, str(index.data()), "muted")
        elif column == PARAMETERS:
            self._draw_number(painter, area, str(index.data()), "text")
        elif column == TRAINABLE:
            self._draw_trainable(painter, area, node, summary, str(index.data()))
        elif column == ATTACHMENTS:
            self._draw_attachments(painter, area, node, summary, model, is_open)
        painter.restore()

    def _draw_background(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
        is_open: bool,
    ) -> None:
        """Fill the row by its state.

        An ancestor stands for the layers inside it while it is collapsed.
        """
        target = index.data(TARGET_ROLE)
        if target == "target" or (target == "target ancestor" and not is_open):
            painter.fillRect(option.rect, color("adapter_soft"))
        elif option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, color("accent_soft"))
        elif option.state & QStyle.StateFlag.State_MouseOver or target == "same kind":
            painter.fillRect(option.rect, color("hover"))
        same_kind = target == "same kind" or (target == "same kind ancestor" and not is_open)
        if same_kind and index.column() == NAME:
            painter.fillRect(option.rect.left(), option.rect.top() + 4, 3, option.rect.height() - 8, color("accent"))

    def _draw_name(self, painter: QPainter, area: QRect, node: Node, summary: SubtreeSummary, text: str) -> None:
        icon, tint = state_icon(node, summary)
        if icon:
            painter.drawPixmap(area.left(), area.center().y() - 7, pixmap(icon, tint, 15))
        strong = node.layer.role in (Role.BLOCK, Role.BACKBONE, Role.STAGE, Role.HEAD)
        painter.setFont(strong_font(painter.font()) if strong else painter.font())
        self._draw_text(painter, area.adjusted(22, 0, 0, 0), text, "text", small=False)

    def _draw_text(self, painter: QPainter, area: QRect, text: str, color_name: str, small: bool = True) -> None:
        if small:
            painter.setFont(small_font(painter.font()))
        painter.setPen(color(color_name))
        elided = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), elided)

    def _draw_number(self, painter: QPainter, area: QRect, text: str, color_name: str) -> None:
        painter.setFont(small_font(painter.font()))
        painter.setPen(color(color_name))
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), text)

    def _draw_trainable(self, painter: QPainter, area: QRect, node: Node, summary: SubtreeSummary, text: str) -> None:
        own = "head" if node.is_head or not summary.adapter_parameters else "adapter"
        tints = {tr("frozen"): "muted", tr("adapter"): "adapter"}
        self._draw_number(painter, area, text, tints.get(text, own))

    def _draw_attachments(
        self, painter: QPainter, area: QRect, node: Node, summary: SubtreeSummary, model: LayerTree, is_open: bool
    ) -> None:
        for tag in comparison_tags(node, model, is_open):
            box = QRect(area.left(), area.top(), _tag_width(tag, area), area.height())
            draw_badge(painter, box, tag, "second", "sunken", icon="", outlined=True)
            area = area_after_tags(area, (tag,))
        for box, badge in badge_boxes(area, model.badges(node), node.part):
            trains = model.grad_norms.has_gradient(badge.attachment, node.layer.path)
            strong, soft = ("adapter", "adapter_soft") if badge.enabled else ("muted", "frozen_soft")
            strong, soft, icon = (strong, soft, "adapter") if trains else ("bad", "bad_soft", "warning")
            draw_badge(painter, box, badge_text(badge, node.part), strong, soft, icon)
            draw_grad_norm(painter, box, model.grad_norms, badge.attachment, node.layer.path)
            area.setLeft(box.right() + _GAP)
        if node.is_head and summary.head_parameters:
            draw_badge(painter, area, tr("head, trained"), "head", "head_soft", "head")
        elif node.children and summary.badges and not is_open and not node.layer.slices:
            self._draw_text(painter, area, summary_text(summary), "adapter" if summary.any_enabled else "muted")


def summary_text(summary: SubtreeSummary) -> str:
    """Return ``4 adapters, +49k``, the number alone before the count, or "off"."""
    if not summary.any_enabled:
        return tr_n("{n} adapter off", "{n} adapters off", summary.badges)
    if not summary.adapter_parameters:
        return tr_n("{n} adapter", "{n} adapters", summary.badges)
    parameters = format_short_count(summary.adapter_parameters)
    return tr_n("{n} adapter, +{parameters}", "{n} adapters, +{parameters}", summary.badges, parameters=parameters)


def draw_grad_norm(painter: QPainter, box: QRect, grad_norms: GradNorms, attachment: str, path: str) -> None:
    """Draw the relative gradient norm as a line below a badge.

    Draw nothing if it is unknown.
    """
    if grad_norms.norm(attachment, path) is not None:
        line = QRect(box.left() + 4, box.center().y() + 11, box.width() - 8, 2)
        painter.fillRect(line, color("line"))
        line.setWidth(round(line.width() * grad_norms.relative(attachment, path)))
        painter.fillRect(line, color("adapter"))


def comparison_tags(node: Node, model: LayerTree, is_open: bool) -> list[str]:
    """Return the tags before a row's badges while its recipe is compared with another."""
    pair: LayerPair | None = None if node.part else model.index_of(node.ref).data(PAIR_ROLE)
    if not is_open and node.children and not node.layer.slices and (inside := model.differing_count(node.layer.path)):
        return [tr("{n} differ", n=inside)]
    if pair is None or not pair.differs:
        return []
    only_in_b = [label for label in pair.right if label not in pair.left] or pair.right
    return [f"B: {label}" for label in only_in_b] or [tr("only in A")]


def area_after_tags(area: QRect, tags: Iterable[str]) -> QRect:
    """Return the part of a cell's ``area`` after ``tags``."""
    for tag in tags:
        area = area.adjusted(_tag_width(tag, area) + _GAP, 0, 0, 0)
    return area


def _tag_width(tag: str, area: QRect) -> int:
    """Return the width of a tag, at most half of the cell: badges follow."""
    return min(badge_width(tag, ""), area.width() // 2)


def badge_boxes(area: QRect, badges: Iterable[Badge], part: str) -> list[tuple[QRect, Badge]]:
    """Return the boxes of the badges that fit into a cell's ``area``; each leaves room for those after it."""
    boxes: list[tuple[QRect, Badge]] = []
    left = area.left()
    waiting = len(shown := tuple(badges))
    for badge in shown:
        waiting -= 1
        room = area.right() - left
        if boxes and room < _MIN_BADGE_WIDTH:
            break
        spare = max(_MIN_BADGE_WIDTH, room - waiting * (_MIN_BADGE_WIDTH + _GAP))
        width = min(badge_width(badge_text(badge, part)), spare, room)
        boxes.append((QRect(left, area.top(), width, area.height()), badge))
        left += width + _GAP
    return boxes


def cell_area(rect: QRect) -> QRect:
    """Return the part of a cell to draw in."""
    return rect.adjusted(4, 0, -8, 0)


def state_icon(node: Node, summary: SubtreeSummary) -> tuple[str, str]:
    """Return icon and color of a row by what is trained in it."""
    if node.is_head and summary.head_parameters:
        return "head", "head"
    if summary.any_enabled:
        return "adapter", "adapter"
    if summary.head_parameters:
        return "trainable", "head"
    if summary.badges:
        return "adapter", "muted"
    return ("frozen", "frozen") if node.layer.parameters else ("", "frozen")
