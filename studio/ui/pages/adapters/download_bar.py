"""A fetch as it goes on: how much of how much, how fast, how long still, and a way to give up."""

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar

from studio.ui.i18n.language import tr
from studio.ui.services.downloads import Downloads
from studio.ui.style.formatting import duration, size
from studio.ui.widgets.components import Column, Row, button, text

if TYPE_CHECKING:
    from studio.backbones.weights import DownloadProgress


class Fetching(QFrame):
    """Hidden while nothing is fetched. ``fetched`` carries "" where it is whole, the reason where not, or None."""

    fetched = Signal(object)

    def __init__(self, downloads: Downloads) -> None:
        super().__init__()
        self._downloads, self._mine = downloads, False
        self.setProperty("role", "notice")
        self.title, self.words = text("", "field"), text("", "caption")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(tr("Progress"))
        self.stop = button(tr("Cancel fetching"), self.cancel, "close")
        self.stop.setAutoDefault(False)
        self.setLayout(
            Row((Column(Row(self.title, None, self.words), self.bar, gap=6), 1), self.stop, margins=(12, 9, 12, 9))
        )
        downloads.advanced.connect(self._advance)
        downloads.ended.connect(self._end)
        self.hide()

    def fetch(self, name: str, repository: str) -> None:
        """Begin."""
        self._mine = True
        self.title.setText(tr("Fetching {name}", name=name))
        self.words.setText(tr("Asking the hub…"))
        self.bar.setValue(0)
        self.show()
        self.stop.setFocus()
        self._downloads.fetch(repository)

    def cancel(self) -> None:
        """Give up; what came is kept for the next time."""
        if self._mine:
            self._downloads.cancel()
            self._end(None)

    def _advance(self, now: "DownloadProgress") -> None:
        self.bar.setValue(round(1000 * now.done / max(1, now.total)))
        parts = [tr("{done} of {all}", done=size(now.done), all=size(now.total))]
        if now.bytes_per_second:
            parts.append(tr("{size} a second", size=size(round(now.bytes_per_second))))
            if math.isfinite(now.seconds_left):
                parts.append(tr("{time} left", time=duration(now.seconds_left)))
        self.words.setText("   ·   ".join(parts))

    def _end(self, words: object) -> None:
        if self._mine:
            self._mine = False
            self.hide()
            self.fetched.emit(words)
