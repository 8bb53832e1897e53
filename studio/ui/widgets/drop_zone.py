"""A widget on which files or folders can be dropped."""

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QLayout, QWidget

from studio.ui.widgets.components import repolish


def first_local_path(data: QMimeData) -> Path | None:
    """Return the path of the first local file or folder in dragged or copied data.

    None without one.
    """
    return next((Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()), None)


class FileDropFilter(QObject):
    """Lets ``target`` accept files where no widget inside it does.

    ``dropped`` carries the path of the first.
    """

    dropped = Signal(object)

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        target.setAcceptDrops(True)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: accept dragged files, and emit the path of a dropped one."""
        # drag events are subclasses of QDropEvent
        if not isinstance(event, QDropEvent) or first_local_path(event.mimeData()) is None:
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(first_local_path(event.mimeData()))
        return True


class DropZone(QFrame):
    """A frame to drop on; ``dropped`` carries the path of the first file or folder."""

    dropped = Signal(object)

    def __init__(self, content: QLayout, role: str = "drop") -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setAcceptDrops(True)
        self.setLayout(content)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: accept local files."""
        if first_local_path(event.mimeData()) is not None:
            event.acceptProposedAction()
            self._set_highlight(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        self._set_highlight(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: emit the path."""
        self._set_highlight(False)
        path = first_local_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.dropped.emit(path)

    def _set_highlight(self, over: bool) -> None:
        self.setProperty("over", over)
        repolish(self)
