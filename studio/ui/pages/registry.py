"""The pages of the window: each registers itself with a :class:`PageSpec`; plugins add theirs by an entry point.

Step bar, menus, shortcuts and the list of keys follow from the registered pages.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from studio.core.messages import N_
from studio.core.registry import Registry
from studio.ui.pages.base import Page
from studio.ui.services.workspace import Workspace

PLUGIN_GROUP = "peft_studio.pages"


@dataclass(frozen=True, slots=True)
class PageSpec:
    """How the window offers a page.

    ``name`` identifies it, ``title`` is a message, ``icon`` the name of a drawing or empty, ``build`` makes the page.
    ``step`` is its place in the step bar, counted from 1, or 0 for a page beside the steps; ``menu`` is the menu that
    lists it. ``is_done`` returns whether its step is ticked.
    """

    name: str
    title: str
    icon: str
    build: Callable[[Workspace], Page]
    shortcut: str = ""
    step: int = 0
    menu: str = N_("View")
    is_done: Callable[[Workspace], bool] = lambda workspace: False


def _import_builtin() -> None:
    """Import the ``page`` module of each folder beside this file."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if module.ispkg:
            import_module(f"{package}.{module.name}.page")


PAGES: Registry[PageSpec] = Registry("page", PLUGIN_GROUP, _import_builtin)


def register(spec: PageSpec) -> PageSpec:
    """Add a page to the window."""
    return PAGES.register(spec)


def page_specs() -> tuple[PageSpec, ...]:
    """Return all pages: the steps in their order, then the pages beside them."""
    return tuple(sorted(PAGES, key=lambda spec: (spec.step == 0, spec.step)))


def step_specs() -> tuple[PageSpec, ...]:
    """Return the pages of the step bar in their order."""
    return tuple(spec for spec in page_specs() if spec.step)
