"""A window without a screen: any Qt warning fails a test, and so does a thread that is left running."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import QMimeData, QThread
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.core.layers import Layer, Role
from studio.ui.application import make_application
from studio.ui.services.drag_payload import METHOD_MIME
from studio.ui.services.workspace import Workspace
from tests.unit.conftest import MakeRecipe
from tests.windows import StudioWindow as MainWindow

LANES = {"engine", "preflight", "images", "training", "results", "thumbnails", "preview", "baseline", "runs", "weights"}
ENGINE_MS = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let any Qt warning fail a test of the window, but for what the platform without a screen says of itself."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            item.add_marker(pytest.mark.qt_log_ignore("This plugin does not support"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name in LANES]
    running = [thing for thing in gc.get_objects() if isinstance(thing, QThread) and thing.isRunning()]
    assert not left
    assert not [thread for thread in running if thread is not QApplication.instance().thread()]


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    """The application with its typeface and theme."""
    return make_application(["peft-studio"], "light")


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication) -> Iterator[MainWindow]:
    """The main window in view, its engine not yet started; closed without a question."""
    made = MainWindow()
    made.show()
    yield made
    made.workspace.document.undo_stack.setClean()
    made.workspace.trainer.stop()
    qtbot.waitUntil(lambda: not made.workspace.trainer.running, timeout=ENGINE_MS)
    assert made.close()
    made.deleteLater()
    QApplication.clipboard().clear()  # what was copied would outlive Python on the platform without a screen


@pytest.fixture
def ready(window: MainWindow, qtbot: QtBot) -> MainWindow:
    """The window with the engine loaded and the starter's layers counted."""
    window.start()
    qtbot.waitUntil(lambda: window.workspace.engine.last_counts is not None, timeout=ENGINE_MS)
    window.show_adapters()
    return window


@pytest.fixture
def settled(qtbot: QtBot) -> Callable[[MainWindow], None]:
    """Wait until the counts on screen are those of the recipe as it is."""

    def wait(window: MainWindow) -> None:
        workspace = window.workspace
        qtbot.waitUntil(
            lambda: (
                workspace.engine.last_counts is not None and workspace.engine.last_counts.recipe == workspace.recipe
            ),
            timeout=ENGINE_MS,
        )

    return wait


@pytest.fixture
def filled(ready: MainWindow, settled: Callable[[MainWindow], None], qtbot: QtBot) -> MainWindow:
    """The window as small as it goes, with the sample project counted and its images listed."""
    ready.resize(ready.minimumSize())
    ready.files.open_sample()
    settled(ready)
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=ENGINE_MS)
    return ready


@pytest.fixture
def prepared(
    ready: MainWindow, make_recipe: MakeRecipe, settled: Callable[[MainWindow], None]
) -> Callable[..., MainWindow]:
    """The window with a tiny recipe."""

    def prepare(**training: object) -> MainWindow:
        ready.workspace.document.new(make_recipe(**training))
        settled(ready)
        ready.show_train()
        return ready

    return prepare


@pytest.fixture
def alone(qtbot: QtBot, qapp: QApplication) -> Iterator[Callable[..., QWidget]]:
    """A page alone, on a workspace whose engine is not started."""
    workspace, made = Workspace(), []

    def make(page: type[QWidget], width: int, height: int) -> QWidget:
        made.append(page(workspace))
        made[-1].resize(width, height)
        made[-1].show()
        return made[-1]

    yield make
    for page in made:
        page.hide()
    workspace.close()
    for page in made:
        page.deleteLater()


@pytest.fixture
def check_model() -> Callable[[object], None]:
    """Let Qt's own tester watch a model for the rest of the test."""
    testers = []

    def watch(model: object) -> None:
        testers.append(QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal))

    return watch


@pytest.fixture
def drag() -> Callable[[str], QMimeData]:
    """Return a factory of the data that a drag of the named method carries."""

    def make(method: str) -> QMimeData:
        data = QMimeData()
        data.setData(METHOD_MIME, method.encode())
        return data

    return make


@pytest.fixture
def rows() -> tuple[Layer, ...]:
    """Layer rows of a network of two blocks, as plain values."""

    def linear(path: str, role: Role, out: int, slices: tuple[str, ...] = ()) -> Layer:
        size = out * 16 + out
        return Layer(path, "Linear", "linear", role, size, size, (out, 16), slices, has_bias=True)

    made = [
        Layer("", "VisionTransformer", "", Role.BACKBONE, 4000, 0),
        Layer("blocks", "Sequential", "", Role.OTHER, 3000, 0),
    ]
    for number in range(2):
        block = f"blocks.{number}"
        made += [
            Layer(block, "Block", "", Role.BLOCK, 1500, 0, block=number),
            Layer(f"{block}.attn", "Attention", "", Role.ATTENTION, 1088, 0, block=number),
            linear(f"{block}.attn.qkv", Role.QKV, 48, ("q", "k", "v")),
            Layer(f"{block}.attn.drop", "Dropout", "", Role.OTHER, 0, 0),
            linear(f"{block}.attn.proj", Role.O, 16),
        ]
    return (*made, linear("head", Role.HEAD, 10))
