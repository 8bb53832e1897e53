"""The download bar: bytes done, rate, time left, and a button to cancel."""

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar

from studio.ui.i18n.language import tr
from studio.ui.services.downloads import Downloads
from studio.ui.style.formatting import format_bytes, format_duration
from studio.ui.widgets.components import HBox, VBox, button, text_label

if TYPE_CHECKING:
    from studio.backbones.weights import DownloadProgress


class DownloadBar(QFrame):
    """Progress of a download, hidden while there is none.

    ``finished`` carries "" if it is complete, the reason if it failed, and ``error`` is None if it was canceled.
    """

    finished = Signal(object)

    def __init__(self, downloads: Downloads) -> None:
        super().__init__()
        self._downloads, self._active = downloads, False
        self.setProperty("role", "notice")
        self.title, self.progress_label = text_label("", "field"), text_label("", "caption")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(tr("Progress"))
        self.cancel_button = button(tr("Cancel download"), self.cancel, "close")
        self.cancel_button.setAutoDefault(False)
        progress = VBox(HBox(self.title, None, self.progress_label), self.bar, gap=6)
        self.setLayout(HBox((progress, 1), self.cancel_button, margins=(12, 9, 12, 9)))
        downloads.progressed.connect(self._show_progress)
        downloads.finished.connect(self._finish)
        self.hide()

    def download(self, name: str, repository: str) -> None:
        """Start to download the weights of the backbone ``name``."""
        self._active = True
        self.title.setText(tr("Downloading {name}", name=name))
        self.progress_label.setText(tr("Connecting to the hub…"))
        self.bar.setValue(0)
        self.show()
        self.cancel_button.setFocus()
        self._downloads.download(repository)

    def cancel(self) -> None:
        """Cancel; the downloaded part is kept for the next time."""
        if self._active:
            self._downloads.cancel()
            self._finish(None)

    def _show_progress(self, progress: "DownloadProgress") -> None:
        self.bar.setValue(round(1000 * progress.done / max(1, progress.total)))
        parts = [tr("{done} of {total}", done=format_bytes(progress.done), total=format_bytes(progress.total))]
        if progress.bytes_per_second:
            parts.append(tr("{size}/s", size=format_bytes(round(progress.bytes_per_second))))
            if math.isfinite(progress.seconds_left):
                parts.append(tr("{time} left", time=format_duration(progress.seconds_left)))
        self.progress_label.setText("   ·   ".join(parts))

    def _finish(self, error: object) -> None:
        if self._active:
            self._active = False
            self.hide()
            self.finished.emit(error)
