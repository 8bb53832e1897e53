"""Named things that plugins can add to: methods, exporters."""

import difflib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from studio.core.errors import StudioError

_MAX_LISTED = 8
"""So many names can be listed in a sentence."""


class Named(Protocol):
    """Anything with a name of its own."""

    @property
    def name(self) -> str:
        """What it is called in recipes and on the command line."""


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Things by name, in the order of registration; built-in ones first, then those of installed plugins.

    ``noun`` is used in error sentences, ``import_builtin`` imports the modules that register the built-in things, ``group`` is
    the entry-point group of plugins. Nothing is imported before the first look. A plugin that fails to load is reported
    in ``failures`` and never stops the program.
    """

    def __init__(self, noun: str, group: str, import_builtin: Callable[[], None]) -> None:
        self._noun, self._group, self._import_builtin = noun, group, import_builtin
        self._items: dict[str, T] = {}
        self._loaded = False
        self.failures: dict[str, str] = {}

    def register(self, item: T) -> T:
        """Add ``item`` under its name; a second one of the same name is an error."""
        if item.name in self._items:
            raise ValueError(f"There already is a {self._noun} called {item.name!r}.")
        self._items[item.name] = item
        return item

    def get(self, name: str) -> T:
        """The thing called ``name``; StudioError naming what there is where it is unknown."""
        self._load()
        try:
            return self._items[name]
        except KeyError:
            raise StudioError(f"There is no {self._noun} called {name!r}; {self._suggestion(name)}.") from None

    def _suggestion(self, name: str) -> str:
        """What to do where nothing is called ``name``: few are listed, of many those that are called nearly so."""
        close = difflib.get_close_matches(name, self._items, n=3)
        hint = f"there are {', '.join(self._items if len(self._items) <= _MAX_LISTED else close)}"
        if len(self._items) > _MAX_LISTED and not close:
            hint = f"install the plugin that brings it, or choose one of the {len(self._items)} that are there"
        return "; ".join((*self.failures.values(), hint))

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._items

    def __iter__(self) -> Iterator[T]:
        self._load()
        return iter(tuple(self._items.values()))

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        self._import_builtin()
        for entry in entry_points(group=self._group):
            try:
                entry.load()
            except Exception as error:
                self.failures[entry.name] = f"The plugin {entry.name} ({entry.value}) could not be loaded ({error})"
