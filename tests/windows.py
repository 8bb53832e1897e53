"""The main window with its pages and parts by name, for tests."""

from typing import Any

from studio.ui.pages.registry import page_specs
from studio.ui.window.main_window import MainWindow
from studio.ui.window.status_bar import StatusBar
from studio.ui.window.step_bar import StepBar


class StudioWindow(MainWindow):
    """``window.train`` is the page called "train", ``window.show_train()`` brings it into view."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("show_") and name.removeprefix("show_") in _PAGES:
            return lambda: self.show_page(name.removeprefix("show_"))
        if name in _PAGES:
            return self.page(name)
        raise AttributeError(name)

    def show_step(self, number: int) -> None:
        self.show_page(page_specs()[number].name)

    @property
    def steps(self) -> StepBar:
        return self.view.steps

    @property
    def status_bar(self) -> StatusBar:
        return self.view.status_bar

    @property
    def pages(self) -> Any:
        return self.view.pages

    @property
    def history_button(self) -> Any:
        return self.view.history_button

    @property
    def undo_button(self) -> Any:
        return self.view.undo_button

    @property
    def redo_button(self) -> Any:
        return self.view.redo_button

    @property
    def theme_button(self) -> Any:
        return self.view.theme_button


_PAGES = ("data", "adapters", "train", "results", "export", "compare", "log", "guide")
