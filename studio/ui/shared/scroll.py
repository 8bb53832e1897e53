"""Scroll positions that survive a rebuild of the window."""

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QAbstractScrollArea


def restore_scroll(area: QAbstractScrollArea, value: int) -> None:
    """Scroll ``area`` to ``value`` once it is laid out; its range is empty before."""
    bar = area.verticalScrollBar()
    bar.setValue(value)
    QTimer.singleShot(0, bar, lambda: bar.setValue(value))
