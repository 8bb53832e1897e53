"""A fetch as it goes on: how much of how much, how fast, how long still, and a way to give up."""

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
    """Hidden while nothing is fetched. ``finished`` carries "" where it is whole, the reason where not, or None."""

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
        self.cancel_button = button(tr("Cancel fetching"), self.cancel, "close")
        self.cancel_button.setAutoDefault(False)
        self.setLayout(
            HBox(
                (VBox(HBox(self.title, None, self.progress_label), self.bar, gap=6), 1),
                self.cancel_button,
                margins=(12, 9, 12, 9),
            )
        )
        downloads.progressed.connect(self._show_progress)
        downloads.finished.connect(self._finish)
        self.hide()

    def download(self, name: str, repository: str) -> None:
        """Begin."""
        self._active = True
        self.title.setText(tr("Fetching {name}", name=name))
        self.progress_label.setText(tr("Asking the hub…"))
        self.bar.setValue(0)
        self.show()
        self.cancel_button.setFocus()
        self._downloads.download(repository)

    def cancel(self) -> None:
        """Give up; what came is kept for the next time."""
        if self._active:
            self._downloads.cancel()
            self._finish(None)

    def _show_progress(self, progress: "DownloadProgress") -> None:
        self.bar.setValue(round(1000 * progress.done / max(1, progress.total)))
        parts = [tr("{done} of {all}", done=format_bytes(progress.done), all=format_bytes(progress.total))]
        if progress.bytes_per_second:
            parts.append(tr("{size} a second", size=format_bytes(round(progress.bytes_per_second))))
            if math.isfinite(progress.seconds_left):
                parts.append(tr("{time} left", time=format_duration(progress.seconds_left)))
        self.progress_label.setText("   ·   ".join(parts))

    def _finish(self, error: object) -> None:
        if self._active:
            self._active = False
            self.hide()
            self.finished.emit(error)
