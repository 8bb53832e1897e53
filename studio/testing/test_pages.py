"""The contract of pages: description, and a page that is built anew as it was."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from studio.ui.pages.registry import PageSpec
    from studio.ui.services.workspace import Workspace


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Workspace]":
    """A workspace without an engine, in an empty home folder."""
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        from studio.ui.application import make_application
        from studio.ui.services.workspace import Workspace

        application = make_application(["peft-studio"], "light")
        workspace = Workspace()
        yield workspace
        workspace.close()
        application.processEvents()


def test_a_page_is_described(page: "PageSpec") -> None:
    from studio.ui.pages.registry import page_specs

    assert page.name.isidentifier()
    assert page.title
    assert page.step >= 0
    assert page.icon or not page.step, "the step bar shows an icon"
    shortcuts = [spec.shortcut for spec in page_specs() if spec.shortcut]
    assert shortcuts.count(page.shortcut) <= 1


def test_a_page_built_anew_looks_as_before(page: "PageSpec", workspace: "Workspace") -> None:
    from studio.ui.pages.base import Page

    first, second = page.build(workspace), page.build(workspace)
    assert isinstance(first, Page)
    first.refresh()
    second.restore_view_state({})
    second.restore_view_state(first.view_state())
    assert second.view_state().keys() == first.view_state().keys()
    first.deleteLater()
    second.deleteLater()
