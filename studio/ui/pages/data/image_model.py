"""The images of a data set as a list, for a grid of any length."""

import json
from collections.abc import Sequence
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.core.messages import N_, Message
from studio.core.recipe import SplitName
from studio.ui.i18n.language import localized, tr
from studio.ui.widgets.table_model import RowListModel

if TYPE_CHECKING:
    from studio.data.dataset.index import ImageFile

IMAGES_MIME = "application/x-peft-studio-images"
_Index = QModelIndex | QPersistentModelIndex


class ImageModel(RowListModel["ImageFile"]):
    """Images in the order given; a drag carries the row numbers of the dragged images."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.root = Path()
        self.classes: Sequence[str] = ()

    def show_images(self, root: Path, classes: Sequence[str], rows: "Sequence[ImageFile]") -> None:
        """Replace the list; the same path objects keep scroll position and selection."""
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
        """Return the full path of an image."""
        return self.root / row.path

    def label(self, row: "ImageFile") -> str:
        """Return the name of an image's class; empty for an excluded image."""
        return self.classes[row.label] if 0 <= row.label < len(self.classes) else ""

    def paths_in(self, data: QMimeData) -> tuple[Path, ...]:
        """Return the paths of the images that a drag carries."""
        numbers = json.loads(bytes(data.data(IMAGES_MIME).data()).decode() or "[]")
        return tuple(self.rows[number].path for number in numbers if number < len(self.rows))

    def caption(self, row: "ImageFile") -> str:
        """Return the name of its class."""
        return self.label(row)

    def description(self, row: "ImageFile") -> str:
        """Return path, class and split."""
        from studio.data.images.path_text import display_path

        path, label = display_path(row.path), self.label(row)
        if not label:
            return tr("{path}\nexcluded", path=path)
        return tr("{path}\n{label}, {split}", path=path, label=label, split=localized(SPLIT_LABELS[row.split]))

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: images can be selected and dragged."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsDragEnabled | flag.ItemNeverHasChildren

    def mimeTypes(self) -> list[str]:
        """Qt: the formats that a drag carries."""
        return [IMAGES_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the row numbers of the dragged images."""
        data = QMimeData()
        data.setData(IMAGES_MIME, json.dumps([index.row() for index in indexes]).encode())
        return data

    def supportedDragActions(self) -> Qt.DropAction:
        """Qt: dragging copies; the files stay in place."""
        return Qt.DropAction.CopyAction


SPLIT_LABELS: dict[SplitName, Message] = {"train": N_("training"), "validation": N_("validation"), "test": N_("test")}
"""The name of each split within a sentence."""

SPLIT_TITLES: dict[SplitName, Message] = {"train": N_("Training"), "validation": N_("Validation"), "test": N_("Test")}
"""The name of each split as a caption or a menu entry."""
