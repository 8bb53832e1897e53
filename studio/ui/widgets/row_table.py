"""The common look of tables of rows."""

from typing import TypeVar

from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtWidgets import QTableView

T = TypeVar("T", bound=QTableView)


def set_up_row_table(table: T, model: QAbstractItemModel, name: str, height: int) -> T:
    """Let ``table`` show ``model`` in whole rows of ``height`` pixels without a grid.

    ``name`` is its accessible name.
    """
    table.setModel(model)
    table.setShowGrid(False)
    table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    table.setAccessibleName(name)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(height)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table
