"""The pages of the window: built when they are first shown, or one at a time while the window is idle."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QStackedWidget

from studio.ui.pages.base import Page
from studio.ui.pages.registry import PageSpec, page_specs
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import VBox, container
from studio.ui.window.layout_state import layout_state, restore_layout

IDLE_MS = 120
"""Pause between the pages that are built before anybody asks for them."""

ViewState = dict[str, dict[str, Any]]
"""The view state of each page that was built, by its name."""


class PageStack(QStackedWidget):
    """Holds an empty place for each page until it is built; ``state`` is how pages looked in the window before."""

    def __init__(self, workspace: Workspace, state: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self._workspace, self._state = workspace, dict(state)
        self._specs = page_specs()
        self._pages: dict[str, Page] = {}
        self._places = {spec.name: VBox() for spec in self._specs}
        for place in self._places.values():
            self.addWidget(container(place))
        self._idle_timer = QTimer(self)
        self._idle_timer.setInterval(IDLE_MS)
        self._idle_timer.timeout.connect(self._build_next)

    @property
    def current_name(self) -> str:
        """The name of the page in view."""
        return self._specs[self.currentIndex()].name

    @property
    def current_page(self) -> Page:
        """The page in view."""
        return self.page(self.current_name)

    def page(self, name: str) -> Page:
        """Return the page called ``name``, built now if it is not yet."""
        if name not in self._pages:
            self._pages[name] = self._build(next(spec for spec in self._specs if spec.name == name))
        return self._pages[name]

    def show_page(self, name: str) -> None:
        """Bring the page called ``name`` into view."""
        self.page(name)
        self._select(name)

    def show_page_soon(self, name: str) -> None:
        """Bring the empty place of the page called ``name`` into view, and build the page in a turn of its own."""
        self._select(name)
        QTimer.singleShot(0, self, lambda: self.page(name))

    def _select(self, name: str) -> None:
        self.setCurrentIndex(next(n for n, spec in enumerate(self._specs) if spec.name == name))

    def build_when_idle(self) -> None:
        """Build the other pages one at a time, so that none makes its user wait."""
        self._idle_timer.start()

    def _build_next(self) -> None:
        missing = next((spec.name for spec in self._specs if spec.name not in self._pages), None)
        if missing is None:
            self._idle_timer.stop()
        else:
            self.page(missing)

    def _build(self, spec: PageSpec) -> Page:
        page = spec.build(self._workspace)
        self._places[spec.name].addWidget(page)
        page.refresh()
        if state := self._state.pop(spec.name, None):
            restore_layout(page, state["layout"])
            page.restore_view_state(state["view"])
        return page

    def view_states(self) -> ViewState:
        """Return what each page looks like; that of a page that was not built again is passed on."""
        built = {name: {"layout": layout_state(page), "view": page.view_state()} for name, page in self._pages.items()}
        return {**{name: dict(state) for name, state in self._state.items()}, **built}
