"""The pages of the window: each registers itself with a :class:`PageSpec`; plugins add theirs by an entry point.

Step bar, menus, shortcuts and the list of keys follow from the registered pages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from studio.core.messages import N_
from studio.core.registry import Registry, import_package
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


PAGES: Registry[PageSpec] = Registry(N_("page"), PLUGIN_GROUP, partial(import_package, "studio.ui.pages", "page"))


def register(spec: PageSpec) -> PageSpec:
    """Add a page to the window."""
    return PAGES.register(spec)


def page_specs() -> tuple[PageSpec, ...]:
    """Return all pages: the steps in their order, then the pages beside them."""
    return tuple(sorted(PAGES, key=lambda spec: (spec.step == 0, spec.step)))


def step_specs() -> tuple[PageSpec, ...]:
    """Return the pages of the step bar in their order."""
    return tuple(spec for spec in page_specs() if spec.step)
