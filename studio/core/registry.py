"""Registries of named items that plugins can add to: methods, exporters, sources, pages."""

import difflib
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from studio.core.errors import StudioError
from studio.core.messages import N_, Message

_MAX_LISTED = 8
"""Names that fit in one sentence."""


class Named(Protocol):
    """Anything with a name of its own."""

    @property
    def name(self) -> str:
        """Name in recipes and on the command line."""


T = TypeVar("T", bound=Named)


def import_package(package: str, entry: str = "") -> None:
    """Import each module of ``package`` in alphabetical order, or the module ``entry`` of each of its subpackages."""
    for module in sorted(pkgutil.iter_modules(import_module(package).__path__), key=lambda module: module.name):
        if not entry:
            import_module(f"{package}.{module.name}")
        elif module.ispkg:
            import_module(f"{package}.{module.name}.{entry}")


class Registry(Generic[T]):
    """Items by name: the built-in ones, then those of plugins, as registered.

    ``noun`` is used in error texts, ``import_builtin`` imports the modules that register the built-in items (such as
    :func:`import_package`), ``group`` is the entry-point group of plugins. Nothing is imported before the first access.
    A plugin that fails to load is reported in ``failures`` and never stops the program.
    """

    def __init__(self, noun: str, group: str, import_builtin: Callable[[], None]) -> None:
        self._noun, self._group, self._import_builtin = noun, group, import_builtin
        self._items: dict[str, T] = {}
        self._loaded = False
        self.failures: dict[str, Message] = {}

    def register(self, item: T) -> T:
        """Add ``item`` under its name; ValueError if the name is taken."""
        if item.name in self._items:
            raise ValueError(f"There already is a {self._noun} called {item.name!r}.")
        self._items[item.name] = item
        return item

    def get(self, name: str) -> T:
        """Return the item called ``name``; StudioError "unknown-name" if there is none."""
        self._load()
        if name not in self._items:
            raise StudioError("unknown-name", self._unknown_message(name))
        return self._items[name]

    def _unknown_message(self, name: str) -> Message:
        """Return that there is no ``name``, and the names there are, or similar ones."""
        noun, count = self._noun, len(self._items)
        if self.failures:
            failures = "; ".join(
                f"{failure.values['plugin']} ({failure.values['reason']})" for failure in self.failures.values()
            )
            return N_(
                "There is no {noun} called '{name}', and some plugins could not be loaded: {plugins}.",
                noun=noun,
                name=name,
                plugins=failures,
            )
        close = difflib.get_close_matches(name, self._items, n=3)
        if count <= _MAX_LISTED:
            return N_(
                "There is no {noun} called '{name}'. Available: {names}.",
                noun=noun,
                name=name,
                names=", ".join(self._items),
            )
        if close:
            return N_(
                "There is no {noun} called '{name}'. Did you mean {names}?",
                noun=noun,
                name=name,
                names=", ".join(close),
            )
        return N_(
            "There is no {noun} called '{name}'. Install its plugin, or choose one of the {n} available.",
            noun=noun,
            name=name,
            n=count,
        )

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
                self.failures[entry.name] = N_(
                    "The plugin {plugin} ({module}) could not be loaded: {reason}",
                    plugin=entry.name,
                    module=entry.value,
                    reason=str(error),
                )
