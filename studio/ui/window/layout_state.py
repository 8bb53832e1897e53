"""Layout that is restored on every page: sizes of splitters, scroll positions, and the focus."""

from collections.abc import Iterator
from typing import Any, TypeVar

from PySide6.QtWidgets import QAbstractScrollArea, QSplitter, QWidget

from studio.ui.widgets.scroll import restore_scroll

W = TypeVar("W", bound=QWidget)


def layout_state(page: QWidget) -> dict[str, Any]:
    """Return sizes of splitters, vertical scroll positions and the place of the focus in ``page``."""
    areas = page.findChildren(QAbstractScrollArea)
    return {
        "splitters": [splitter.sizes() for splitter in page.findChildren(QSplitter)],
        "scroll": [area.verticalScrollBar().value() for area in areas],
        "focus": _focus_path(page),
    }


def restore_layout(page: QWidget, state: dict[str, Any]) -> None:
    """Restore what :func:`layout_state` returned for a page of the same kind."""
    for splitter, sizes in _pairs(page.findChildren(QSplitter), state["splitters"]):
        splitter.setSizes(sizes)
    for area, value in _pairs(page.findChildren(QAbstractScrollArea), state["scroll"]):
        if value:
            restore_scroll(area, value)
    if widget := _at_path(page, state["focus"]):
        widget.setFocus()


def _pairs(widgets: list[W], values: list[Any]) -> Iterator[tuple[W, Any]]:
    """Yield each widget with its value; nothing if the page was built with other widgets."""
    return zip(widgets, values, strict=True) if len(widgets) == len(values) else iter(())


def _focus_path(page: QWidget) -> list[tuple[str, int]]:
    """Return the path from ``page`` to the focused widget in it, as type and position among the children."""
    widget, path = page.window().focusWidget(), []
    while widget is not None and widget is not page:
        parent = widget.parentWidget()
        if parent is None:
            return []
        path.append((type(widget).__name__, parent.children().index(widget)))
        widget = parent
    return path[::-1] if widget is page else []


def _at_path(page: QWidget, path: list[tuple[str, int]]) -> QWidget | None:
    widget: QWidget | None = page if path else None
    for kind, number in path:
        children = widget.children() if widget else []
        child = children[number] if number < len(children) else None
        widget = child if isinstance(child, QWidget) and type(child).__name__ == kind else None
    return widget
