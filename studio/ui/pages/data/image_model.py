"""The images of a data set as a list, for a grid of any length."""

import json
from collections.abc import Sequence
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.core.recipe import SplitName
from studio.ui.i18n.language import tr
from studio.ui.widgets.table_model import RowListModel

if TYPE_CHECKING:
    from studio.data.dataset.index import ImageFile

IMAGES_MIME = "application/x-peft-studio-images"
_Index = QModelIndex | QPersistentModelIndex


class ImageModel(RowListModel["ImageFile"]):
    """Rows in the order given; a drag carries the places of the dragged rows."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.root = Path()
        self.classes: Sequence[str] = ()

    def show_images(self, root: Path, classes: Sequence[str], rows: "Sequence[ImageFile]") -> None:
        """Replace the list; where the very paths of before stand in the same order, scrolling and selection stay."""
        same = root == self.root and len(rows) == len(self.rows)
        same = same and all(map(is_, (row.path for row in rows), (row.path for row in self.rows)))
        if not same:
            self.beginResetModel()
        self.root, self.classes, self.rows = root, classes, rows
        if not same:
            self.endResetModel()
        elif rows:
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))

    def file_path(self, row: "ImageFile") -> Path:
        """Where an image is."""
        return self.root / row.path

    def label(self, row: "ImageFile") -> str:
        """The name of an image's class; none for one that is not used."""
        return self.classes[row.label] if 0 <= row.label < len(self.classes) else ""

    def paths_in(self, data: QMimeData) -> tuple[Path, ...]:
        """The images that a drag carries."""
        places = json.loads(bytes(data.data(IMAGES_MIME).data()).decode() or "[]")
        return tuple(self.rows[place].path for place in places if place < len(self.rows))

    def caption(self, row: "ImageFile") -> str:
        """Its class."""
        return self.label(row)

    def description(self, row: "ImageFile") -> str:
        """Name, class and split."""
        from studio.data.images.path_text import display_path

        if not self.label(row):
            return f"{display_path(row.path)}\n{tr('not used')}"
        return f"{display_path(row.path)}\n{self.label(row)}, {tr(SPLIT_LABELS[row.split])}"

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: images can be selected and dragged."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsDragEnabled | flag.ItemNeverHasChildren

    def mimeTypes(self) -> list[str]:
        """Qt: what a drag carries."""
        return [IMAGES_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the places of the dragged images."""
        data = QMimeData()
        data.setData(IMAGES_MIME, json.dumps([index.row() for index in indexes]).encode())
        return data

    def supportedDragActions(self) -> Qt.DropAction:
        """Qt: dragging copies; the files stay."""
        return Qt.DropAction.CopyAction


SPLIT_LABELS: dict[SplitName, str] = {"train": "training", "validation": "validation", "test": "testing"}
"""What the splits are called in the window."""
