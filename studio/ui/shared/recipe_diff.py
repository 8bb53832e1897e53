"""Difference of two recipes: layers and other settings."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QCheckBox,
    QHeaderView,
    QSplitter,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from studio.core.layers import Layer
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.services.error_text import field_titles
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.shared.recipe_layers import LayerPair, compare_layers
from studio.ui.style.theme import color
from studio.ui.widgets.components import HBox, VBox, container, text_label
from studio.ui.widgets.painting import draw_badge, small_font
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.table_model import RowTableModel

_PAIR_ROLE = Qt.ItemDataRole.UserRole + 1
_ROW_HEIGHT = 28
_STATUS_COLORS = {"same": ("muted", "sunken"), "left": ("bad", "bad_soft"), "right": ("good", "good_soft")}
_MAX_EXPANDED = 200
"""Largest number of rows of a tree that is fully expanded."""
_STATUS_TITLES = {
    "same": N_("the same"),
    "left": N_("only in A"),
    "right": N_("only in B"),
    "other": N_("different"),
    "": "",
}
_SEPARATOR = "   ·   "


class SettingDiffModel(RowTableModel[tuple[str, str, str]]):
    """Table model of the differing settings: recipe key and two values."""

    columns = (N_("Setting"), "A", "B")

    def cells(self, row: tuple[str, str, str]) -> tuple[str, str, str]:
        """Return the title of the setting and its two values."""
        return localized(field_titles().get(row[0], row[0])), row[1], row[2]

    def tool_tip(self, row: tuple[str, str, str]) -> str:
        """Return recipe key and values in full."""
        return f"{row[0]}\nA: {row[1]}\nB: {row[2]}"


class _DiffDelegate(QStyledItemDelegate):
    """Delegate that draws the badges of both recipes and highlights those of only one."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: rows of one height."""
        return QSize(80, _ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw the layer's name as usual, badges in the other columns."""
        pair: LayerPair | None = index.siblingAtColumn(0).data(_PAIR_ROLE)
        if index.column() == 0 or pair is None:
            super().paint(painter, option, index)
            return
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, color("accent_soft"))
        area = option.rect.adjusted(6, 0, -8, 0)
        if index.column() == 3:
            self._draw_text(painter, area, localized(_STATUS_TITLES[pair.status]), pair.differs)
            return
        strong, soft = _STATUS_COLORS.get(pair.status, ("adapter", "adapter_soft"))
        for text in pair.left if index.column() == 1 else pair.right:
            width = draw_badge(painter, area, localized(text), strong, soft)
            area = area.adjusted(width + 6, 0, 0, 0)
            if area.width() < 30:
                return

    def _draw_text(self, painter: QPainter, area: QRect, text: str, strong: bool) -> None:
        painter.save()
        painter.setFont(small_font(painter.font()))
        painter.setPen(color("text" if strong else "muted"))
        cut = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)
        painter.restore()


class RecipeDiff(QWidget):
    """Two recipes on one layer tree, and their other differing settings.

    Call :meth:`show_recipes` after the engine is loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pairs: tuple[LayerPair, ...] = ()
        self.banner = ErrorBanner()
        self.summary = text_label("", "muted", wrap=True)
        self.only_different = QCheckBox(tr("Only differences"))
        self.only_different.setChecked(True)
        self.only_different.toggled.connect(lambda on: self._fill())
        self.tree = QTreeWidget()
        self.tree.setItemDelegate(_DiffDelegate(self.tree))
        self.tree.setColumnCount(4)
        self.tree.setUniformRowHeights(True)
        self.tree.setAccessibleName(tr("Layers of both recipes"))
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.tree.setColumnWidth(0, 190)
        self.tree.setColumnWidth(3, 104)
        self.settings = SettingDiffModel(self)
        self.table = _setting_view(self.settings)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self.tree)
        self.settings_section = container(
            VBox(text_label(tr("Other settings that differ"), "heading"), (self.table, 1), gap=6)
        )
        splitter.addWidget(self.settings_section)
        splitter.setSizes([360, 180])
        row = HBox((self.summary, 1), self.only_different)
        box: QVBoxLayout = VBox(row, self.banner, (splitter, 1), gap=8)
        self.setLayout(box)

    def show_recipes(
        self, left: Recipe, right: Recipe, layers: Sequence[Layer], names: tuple[str, str] = ("A", "B")
    ) -> None:
        """Show the differences of ``left`` and ``right`` on the backbone with ``layers``."""
        same = left.backbone == right.backbone
        self.banner.show_message("" if same else tr("The backbones differ: the layers of A are shown."), "warn")
        self.pairs = compare_layers(left, right, layers)
        self.tree.setHeaderLabels([tr("Layer"), names[0], names[1], tr("Difference")])
        for column, name in enumerate(names, 1):
            self.tree.headerItem().setToolTip(column, name)  # a long name is elided
        rows = _setting_differences(left, right)
        self.settings.show_rows(rows)
        self.settings_section.setVisible(bool(rows))
        differing = sum(pair.differs for pair in self.pairs)
        self.summary.setText(_summary_text(differing, len(rows)))
        self._fill()

    def _fill(self) -> None:
        self.tree.clear()
        visible = self._visible_paths()
        items: dict[str, QTreeWidgetItem] = {}
        for pair in self.pairs:
            if pair.layer.path in visible:
                items[pair.layer.path] = self._add(pair, items)
        if len(items) <= _MAX_EXPANDED:
            self.tree.expandAll()
        else:
            self.tree.expandToDepth(1)
        self.tree.setVisible(bool(items))

    def _visible_paths(self) -> set[str]:
        """Return the paths of the layers with attachments and of their ancestors."""
        only = self.only_different.isChecked()
        paths = [p.layer.path for p in self.pairs if (p.differs if only else p.status)]
        return {path.rsplit(".", cut)[0] for path in paths for cut in range(path.count(".") + 1)} | {""} & set(paths)

    def _add(self, pair: LayerPair, items: dict[str, QTreeWidgetItem]) -> QTreeWidgetItem:
        above = items.get(pair.layer.parent)
        item = QTreeWidgetItem(self.tree if above is None else above)
        name = pair.layer.path if above is None else pair.layer.name
        left, right = (", ".join(map(localized, texts)) for texts in (pair.left, pair.right))
        cells = (name or tr("backbone"), left, right, localized(_STATUS_TITLES[pair.status]))
        for column, cell in enumerate(cells):
            item.setText(column, cell)
            item.setToolTip(column, cell or pair.layer.path)
        item.setData(0, _PAIR_ROLE, pair)
        return item


def _summary_text(layers: int, settings: int) -> str:
    if not layers and not settings:
        return tr("The two recipes are the same.")
    return _SEPARATOR.join(
        (
            tr_n("{n} layer differs", "{n} layers differ", layers),
            tr_n("{n} other setting differs", "{n} other settings differ", settings),
        )
    )


def _setting_differences(left: Recipe, right: Recipe) -> list[tuple[str, str, str]]:
    """Return key and values of the differences that the tree does not show."""
    from studio.app.comparison.comparison import recipe_differences

    return [
        (d.key, _value_text(d.values[0]), _value_text(d.values[1]))
        for d in recipe_differences((left, right))
        if not d.key.startswith("attachments.") and d.key != "head.trainable"
    ]


def _value_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "–" if value in (None, "") else str(value)


def _setting_view(model: SettingDiffModel) -> QTableView:
    table = set_up_row_table(QTableView(), model, tr("Settings that differ"), 28)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    return table
