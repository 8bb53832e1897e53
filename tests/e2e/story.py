"""The main workflow through the window, page by page, with a screenshot of each page.

``make story`` or ``python tests/e2e/story.py [FOLDER]`` saves screenshots in every language and theme; its test runs it
in one of each.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QMimeData, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget

from studio.core.paths import resource
from studio.ui.i18n.language import ENGLISH, LANGUAGES, language
from studio.ui.pages.results.try_it_tab import TryItTab
from studio.ui.services.app_log import app_log
from studio.ui.services.drag_payload import METHOD_MIME
from studio.ui.services.tree_data import NodeRef
from studio.ui.style.theme import theme
from tests.windows import StudioWindow as MainWindow

PATIENCE_S = 300
ONE = ((ENGLISH, "light"),)
ALL = tuple((spoken, shade) for spoken in LANGUAGES for shade in ("light", "dark"))


def pause(milliseconds: int) -> None:
    """Run the event loop, without holding the GIL as QTest's wait does."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait(until: Callable[[], object], event: str) -> None:
    """Wait until ``until`` returns something true; fail with the name of the ``event`` after :data:`PATIENCE_S`."""
    for _ in range(PATIENCE_S * 50):
        if until():
            return
        pause(20)
    raise AssertionError(f"timed out waiting for {event}")


def has_predictions(tab: TryItTab) -> bool:
    """Return whether every adapter has a prediction for the image."""
    return bool(tab.cards) and all(card.probability_bars.rows for card in tab.cards.values())


class Story:
    """Drives one window; screenshots go to a subfolder of ``folder`` for each look (language and theme)."""

    def __init__(self, window: MainWindow, folder: Path, epochs: int, looks: tuple[tuple[str, str], ...] = ONE) -> None:
        self.window, self.folder, self.epochs, self.looks = window, folder, epochs, looks
        self.pictures: list[Path] = []
        self.scenes = 0

    def picture(self, name: str, shown: QWidget | None = None) -> None:
        """Save a screenshot of the window, or of ``shown``, in every look."""
        self.scenes += 1
        for spoken, shade in self.looks:
            language().set_language(spoken)
            theme().apply(shade)
            pause(200)
            path = self.folder / f"{spoken}-{shade}" / f"{self.scenes:02}-{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert (shown or self.window).grab().save(str(path))
            self.pictures.append(path)
        language().set_language(ENGLISH)

    def tell(self) -> None:
        """Run the workflow from the first start to an export."""
        self.begin()
        self.attach()
        self.train()
        self.look_at_results()
        self.compare()
        self.export()
        self.open_log()

    def begin(self) -> None:
        """Start for the first time, load the engine and open the sample project."""
        window = self.window
        self.picture("first-start")
        window.show_adapters()
        self.picture("engine-loads")
        window.start()
        wait(lambda: window.workspace.engine.ready, "the engine")
        window.files.open_sample()
        wait(self._counted, "the counts")
        wait(lambda: window.workspace.images.scan.summary, "the images")
        window.show_data()
        wait(lambda: window.workspace.images.scan.checked, "the check of the images")
        self.picture("data")
        window.show_adapters()
        self.picture("adapters")
        self.browse()

    def browse(self) -> None:
        """Open and close the catalog of backbones and the guide to methods."""
        window = self.window
        window.adapters.choose_backbone()
        assert window.adapters.dialog
        window.adapters.dialog.search.setText("vit_small")
        wait(lambda: window.adapters.dialog.model.rowCount(), "the catalog")
        self.picture("backbones", window.adapters.dialog)
        window.adapters.dialog.reject()
        window.show_guide()
        self.picture("guide")
        window.show_adapters()

    def _counted(self) -> bool:
        last = self.window.workspace.engine.last_counts
        return last is not None and last.recipe == self.window.workspace.recipe and last.parameter_counts is not None

    def attach(self) -> None:
        """Refuse a drag, drop a method on a layer, change its rank, and undo all."""
        page, workspace = self.window.adapters, self.window.workspace
        tree_panel = page.tree_panel
        tree_panel.tree.scrollToTop()
        self.drag(QDragEnterEvent, NodeRef())
        self.drag(QDragMoveEvent, NodeRef("blocks.0.norm1"))
        self.picture("drag-refused")
        self.drag(QDragMoveEvent, NodeRef("blocks.0.mlp"))
        wait(lambda: "parameters" in tree_panel.hint.text(), "the count before the drop")
        self.picture("drag-accepted")
        tree_panel.tree.expand(tree_panel.model.index_of(NodeRef("blocks.0.mlp")))
        self.drag(QDropEvent, NodeRef("blocks.0.mlp.fc1"))
        wait(self._counted, "the counts")
        page.inspector.settings._form.fields["rank"].setValue(16)
        wait(self._counted, "the counts")
        self.picture("two-attachments")
        while workspace.document.undo_stack.canUndo():
            self.window.undo()
        wait(self._counted, "the counts")

    def drag(self, kind: type[QDropEvent], ref: NodeRef, method: str = "lora") -> None:
        """Send the tree the event of ``method`` being dragged over, or dropped on, the row of ``ref``."""
        tree = self.window.adapters.tree_panel.tree
        data = QMimeData()
        data.setData(METHOD_MIME, method.encode())
        position = tree.visualRect(tree.layer_tree.index_of(ref)).center()
        event = kind(
            position if kind is not QDropEvent else position.toPointF(),
            Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(tree.viewport(), event)

    def train(self) -> None:
        """Train for a few epochs."""
        window = self.window
        window.show_train()
        window.workspace.resource_estimator.measure()
        wait(lambda: window.workspace.resource_estimator.estimate, "the resource estimate")
        self.picture("before-training")
        window.train.form.fields["epochs"].setValue(self.epochs)
        window.train.start_button.click()
        wait(lambda: window.train.watcher.history.step > 20, "the first steps")
        self.picture("training")
        self.change_language()
        wait(lambda: not window.workspace.trainer.running, "the end of training")
        assert not window.train.banner.message
        runs = window.workspace.runs
        wait(lambda: (row := runs.find(runs.selected)) and row.state == "completed", "the end in the list of runs")
        self.picture("trained")

    def change_language(self) -> None:
        """Change the language and back while the run trains."""
        window = self.window
        step = window.train.watcher.history.step
        window.chinese()
        assert window.train.stop_button.text() == "停止"
        wait(lambda: window.train.watcher.history.step > step, "a step in Chinese")
        window.english()
        assert window.train.stop_button.text() == "Stop"
        assert window.workspace.trainer.running or window.train.watcher.history.step > step

    def look_at_results(self) -> None:
        """Evaluate, classify one image, and run the ablation."""
        window = self.window
        window.show_results()
        wait(lambda: window.results.stack.currentIndex() == 1, "the results")
        self.picture("mistakes")
        window.results.try_image(sorted(resource("digits", "7").glob("*.png"))[0])
        wait(lambda: has_predictions(window.results.try_it_tab), "the predictions")
        self.picture("try-it")
        window.results.view_switch.button_at(2).click()
        window.results.ablation_tab.measure_button.click()
        wait(lambda: window.results.ablation_tab.analysis, "the ablation")
        self.picture("ablation")

    def compare(self) -> None:
        """Open the page that compares runs."""
        self.window.show_compare()
        pause(500)
        self.picture("compare")

    def open_log(self) -> None:
        """Open the log."""
        self.window.show_log()
        self.picture("log")

    def export(self) -> None:
        """Export merged weights and verify them."""
        page = self.window.export
        self.window.show_export()
        wait(lambda: page.cards, "the export formats")
        self.picture("export")
        page.select_format("merged")
        page.export_button.click()
        wait(lambda: page.result_notice.property("tone") in ("good", "bad"), "the export")
        self.picture("exported")
        assert page.result_notice.property("tone") == "good", page.result_notice.message

    def end(self) -> None:
        """Close the window without the question about unsaved changes."""
        self.window.workspace.document.undo_stack.setClean()
        self.window.close()


def main(folder: str = "artifacts/story", *looks: str) -> None:
    """Run the workflow in ``looks``, such as ``en-light``, or in all."""
    from studio.ui.application import make_application

    chosen = tuple(look for look in ALL if not looks or "-".join(look) in looks)
    with tempfile.TemporaryDirectory(prefix="peft-studio-") as home:
        os.environ["PEFT_STUDIO_HOME"] = home
        application: QApplication = make_application(["peft-studio"])
        app_log().open()
        window = MainWindow()
        window.show()
        start = time.monotonic()
        story = Story(window, Path(folder), epochs=3, looks=chosen)
        try:
            story.tell()
        finally:
            story.end()
            application.processEvents()
            app_log().close()
    print(f"{len(story.pictures)} screenshots in {folder}, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
