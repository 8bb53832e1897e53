"""A place to drop files or folders on."""

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QLayout, QWidget

from studio.ui.widgets.components import repolish


def first_local_path(data: QMimeData) -> Path | None:
    """The first file or folder of this machine among what is dragged or copied."""
    return next((Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()), None)


class FileDropFilter(QObject):
    """Lets all of ``target`` take files, where nothing inside it does; ``dropped`` carries the path of the first."""

    dropped = Signal(object)

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        target.setAcceptDrops(True)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: take files that are dragged over, and tell of those that are dropped."""
        if (
            not isinstance(event, QDropEvent) or first_local_path(event.mimeData()) is None
        ):  # a drag coming in is one too
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(first_local_path(event.mimeData()))
        return True


class DropZone(QFrame):
    """``dropped`` carries the path of the first file or folder that is dropped."""

    dropped = Signal(object)

    def __init__(self, content: QLayout, role: str = "drop") -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setAcceptDrops(True)
        self.setLayout(content)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take files of this machine."""
        if first_local_path(event.mimeData()) is not None:
            event.acceptProposedAction()
            self._set_highlight(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        self._set_highlight(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: tell the path."""
        self._set_highlight(False)
        path = first_local_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.dropped.emit(path)

    def _set_highlight(self, over: bool) -> None:
        self.setProperty("over", over)
        repolish(self)
