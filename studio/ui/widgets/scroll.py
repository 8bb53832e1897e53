"""Scroll positions that survive a rebuild of the window."""

from PySide6.QtWidgets import QAbstractScrollArea


def restore_scroll(area: QAbstractScrollArea, value: int) -> None:
    """Scroll ``area`` to ``value`` pixels, as soon as its content is that high."""
    bar = area.verticalScrollBar()
    if bar.maximum() >= value:
        bar.setValue(value)
        return

    def scroll(low: int, high: int) -> None:
        if high >= value:
            bar.rangeChanged.disconnect(scroll)
            bar.setValue(value)

    bar.rangeChanged.connect(scroll)
