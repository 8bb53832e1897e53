"""Settings of all tests: objects that imports and earlier tests leave behind cost later tests no time."""

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of the whole window with its engine as slow: each opens one, which takes a second."""
    for item in items:
        if "ready" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave imported modules out of later collections: each training makes one, of 0.2 s with torch and timm."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Delete closed windows: without an event loop Qt keeps them, and a change of the theme restyles every one."""
    yield
    if "PySide6.QtWidgets" in sys.modules:
        from PySide6.QtCore import QCoreApplication, QEvent

        if QCoreApplication.instance() is not None:
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
